/*
 * libcamera names a webcam by the firmware node of its USB controller. The virtual controller of
 * the tests has none in sysfs, so this library, preloaded, answers for it:
 * /sys/devices/platform/vhci_hcd.0/firmware_node/path is a file with one line.
 *
 * It replaces the calls of libcamera and of C++ streams (both of Debian trixie) to such a file.
 *
 * gcc -shared -fPIC -o firmware_node.so firmware_node.c
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NODE[] = "\\_SB_.VHCI\n";

static int is_the_node(const char *path)
{
	return path && strstr(path, "/vhci_hcd.0/firmware_node/path");
}

int stat64(const char *path, struct stat64 *status)
{
	int (*next)(const char *, struct stat64 *) = dlsym(RTLD_NEXT, "stat64");

	return next(is_the_node(path) ? "/dev/null" : path, status);
}

/* The stream takes the descriptor out of it, so that must be a real one. */
FILE *fopen(const char *path, const char *mode)
{
	FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
	int file;

	if (!is_the_node(path))
		return next(path, mode);
	file = memfd_create("firmware_node", MFD_CLOEXEC);
	if (file < 0 || write(file, NODE, sizeof(NODE) - 1) < 0 || lseek(file, 0, SEEK_SET) < 0)
		return NULL;
	return fdopen(file, "r");
}
