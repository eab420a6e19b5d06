"""Print a /proc/cpuinfo like that of a Raspberry Pi 4 (Cortex-A72) or 5 (Cortex-A76).

LiteRT reads the file to learn which instructions the processor has, and crashes on the host's.

Usage: cpuinfo.py CORES [cortex-a72 | cortex-a76]
"""

import sys

# As the arm64 kernel prints them; the last four are the parts of the processor's MIDR_EL1.
LINES = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: {revision}
"""
A76_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
PROCESSORS = {
    "cortex-a72": ("fp asimd evtstrm crc32 cpuid", "0x0", "0xd08", 3),
    "cortex-a76": (A76_FEATURES, "0x4", "0xd0b", 1),
}


def cpuinfo(processor: str, cores: int) -> str:
    """The text of the file."""
    features, variant, part, revision = PROCESSORS[processor]
    return "\n".join(
        LINES.format(core=core, features=features, variant=variant, part=part, revision=revision)
        for core in range(cores)
    )


if __name__ == "__main__":
    print(cpuinfo(sys.argv[2] if len(sys.argv) > 2 else "cortex-a72", int(sys.argv[1])))
