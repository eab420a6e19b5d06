"""The sensors of the device, as in the performance record."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pi_detector.core.readings import HostReadings, ThrottlingFlags
from pi_detector.telemetry import sensors
from pi_detector.telemetry.sensors import ROOT

_UNKNOWN = ThrottlingFlags()


def read_host(root: Path, folder: Path) -> HostReadings:
    """All sensors that are read once for a record.

    Args:
        root: the folder that stands for ``/``.
        folder: where files grow: the free space of its file system is read.
    """
    now, ever = read_throttling(root)
    return HostReadings(
        temperature_celsius=sensors.cpu_celsius(root),
        cpu_mhz=sensors.cpu_mhz(root),
        cpu_governor=sensors.cpu_governor(root),
        throttling=now,
        throttling_ever=ever,
        load_1m=sensors.first_number(root / "proc/loadavg"),
        memory_available_mb=sensors.available_mb(root),
        disk_free_mb=sensors.free_mb(folder),
        wifi_dbm=sensors.wifi_dbm(root),
        uptime_s=sensors.first_number(root / "proc/uptime"),
    )


def read_throttling(root: Path = ROOT) -> tuple[ThrottlingFlags, ThrottlingFlags]:
    """Read what throttles the processor now, and what did earlier, as far as /sys reports it.

    The kernel's file contains the reply that its voltage driver got when it last queried the
    firmware, every 2 s, which makes the firmware forget the earlier conditions each time: "earlier"
    is since then. Kernels without that file (Debian's own) only report under-voltage. Source:
    drivers/firmware/raspberrypi.c and drivers/hwmon/raspberrypi-hwmon.c of the kernel.
    """
    word = sensors.throttled_word_of_kernel(root)
    bits = None if word is None else sensors.parse_word(word)
    if bits is not None:
        return decode(bits), decode(bits >> sensors.SINCE_BOOT_SHIFT)
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if sensors.read_text(chip / "name") == "rpi_volt":
            alarm = sensors.whole_number(chip / "in0_lcrit_alarm")
            low = ThrottlingFlags(under_voltage=None if alarm is None else alarm != 0)
            return low, low
    return _UNKNOWN, _UNKNOWN


def decode(bits: int) -> ThrottlingFlags:
    """The conditions in the lower half of a throttling word."""
    return ThrottlingFlags(*(bool(bits & bit) for bit in sensors.CONDITIONS))


def names_of(flags: ThrottlingFlags) -> list[str]:
    """The conditions that are met, in words."""
    met = msgspec.structs.astuple(flags)
    return [name for name, is_met in zip(sensors.CONDITIONS.values(), met, strict=True) if is_met]
