"""Print a /proc/cpuinfo like that of a Raspberry Pi 4 (Cortex-A72).

LiteRT reads the file to learn which instructions the processor has, and crashes on the host's.

Usage: cpuinfo.py CORES
"""

import sys

# As the arm64 kernel prints them; the last five are the parts of a Cortex-A72's MIDR_EL1.
LINES = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""

if __name__ == "__main__":
    for core in range(int(sys.argv[1])):
        print(LINES.format(core=core))
