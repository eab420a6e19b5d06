/* QEMU plugin: how many guest instructions run between two marks.
 *
 * A mark is the system call getsid(MARK), which no program makes by chance. Each prints the
 * instructions since the one before it on standard error. The declarations are those of
 * qemu-plugin.h, version 1, which Debian does not package. For one thread: the count is not atomic.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PUBLIC __attribute__((visibility("default")))

enum { MARK = 1234567890, AARCH64_GETSID = 156, INLINE_ADD_U64 = 0 };

typedef uint64_t plugin_id;
struct block;
struct machine_info;

typedef void (*translated)(plugin_id, struct block *);
typedef void (*called)(plugin_id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                       uint64_t a8);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, called);
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int operation, void *where,
                                              uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct block *);

PUBLIC int qemu_plugin_version = 1;

static uint64_t executed, at_mark;

static void on_translated(plugin_id id, struct block *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &executed,
                                             qemu_plugin_tb_n_insns(block));
}

static void on_system_call(plugin_id id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                           uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                           uint64_t a8) {
    (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == AARCH64_GETSID && (uint32_t)a1 == MARK) {
        fprintf(stderr, "instructions %" PRIu64 "\n", executed - at_mark);
        at_mark = executed;
    }
}

PUBLIC int qemu_plugin_install(plugin_id id, const struct machine_info *info, int count,
                               char **arguments) {
    (void)info, (void)count, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
