"""Sensors of the device: temperature, power, clock, load, disk, radio.

A missing sensor is None, never zero. All but ``vcgencmd`` is read from /proc and /sys, which the
sandbox of the service leaves readable; ``root`` is the folder mounted as ``/``. This module needs
no package, so that ``pi-detector doctor`` works without any.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pi_detector.util.programs import asked

ROOT = Path("/")

_VCGENCMD_TIMEOUT_S = 5.0
SINCE_BOOT_SHIFT = 16
"""From the bit of a condition that is met to that of one that was."""
CONDITIONS = {
    0x1: "under-voltage",
    0x2: "clock capped",
    0x4: "throttled",
    0x8: "soft temperature limit",
}
"""Bits of a throttling word. Source: Raspberry Pi documentation, ``vcgencmd get_throttled``."""


def pi_model(root: Path = ROOT) -> str | None:
    """The name of the Raspberry Pi, or None on another machine."""
    model = read_text(root / "proc/device-tree/model")
    return model if model is not None and model.startswith("Raspberry Pi") else None


def cpu_celsius(root: Path = ROOT) -> float | None:
    """Temperature of the processor, in degrees Celsius."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind = read_text(zone / "type")
        millidegrees = whole_number(zone / "temp")
        if kind is not None and "cpu" in kind.lower() and millidegrees is not None:
            return millidegrees / 1000
    return None


def cpu_mhz(root: Path = ROOT) -> float | None:
    """Clock of the first core, in MHz; a Raspberry Pi has one clock for all cores."""
    khz = whole_number(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    return None if khz is None else khz / 1000


def cpu_governor(root: Path = ROOT) -> str | None:
    """Who sets the clock of the processor, such as ``ondemand``."""
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def throttled_word(root: Path = ROOT) -> str | None:
    """The throttling word in hexadecimal, or None if it is not available.

    ``vcgencmd`` is asked first: its upper half is since boot. It needs /dev/vcio, which the service
    may not open.
    """
    if root == ROOT and (vcgencmd := shutil.which("vcgencmd")):
        answer = asked([vcgencmd, "get_throttled"], _VCGENCMD_TIMEOUT_S)
        if answer is None:
            return None
        if answer.returncode == 0:
            return answer.stdout.strip().removeprefix("throttled=")
    return throttled_word_of_kernel(root)


def throttled_word_of_kernel(root: Path = ROOT) -> str | None:
    """The throttling word that the kernel keeps, in hexadecimal."""
    for file in sorted((root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled")):
        word = read_text(file)
        if word is not None:
            return word
    return None


def parse_word(word: str) -> int | None:
    """A throttling word as a number, or None if it is not one."""
    try:
        return int(word, 16)
    except ValueError:
        return None


def conditions(bits: int) -> list[str]:
    """The conditions in the lower half of a throttling word, in words."""
    return [name for bit, name in CONDITIONS.items() if bits & bit]


def available_mb(root: Path = ROOT) -> float | None:
    """Memory that can be had without swapping, in MB."""
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return round(int(rest.split()[0]) * 1024 / 1e6, 1)
    return None


def free_mb(folder: Path) -> int | None:
    """Space that this user may still use in the file system of a folder, which need not exist."""
    existing = folder
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        return shutil.disk_usage(existing).free // 1_000_000
    except OSError:
        return None


def wifi_dbm(root: Path = ROOT) -> int | None:
    """Signal of the first wireless interface, in dBm; None where its driver has another unit."""
    for line in (read_text(root / "proc/net/wireless") or "").splitlines()[2:]:
        fields = line.split()
        try:
            level = int(float(fields[3]))
        except (IndexError, ValueError):
            continue
        return level if level < 0 else None
    return None


def read_text(path: Path) -> str | None:
    """Text of a kernel's file without trailing NUL and space, or None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return None


def whole_number(path: Path) -> int | None:
    """The whole number in a kernel's file, or None where there is none."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def first_number(path: Path) -> float | None:
    """The first number in a kernel's file, or None where there is none."""
    try:
        return float((read_text(path) or "").split()[0])
    except (IndexError, ValueError):
        return None
