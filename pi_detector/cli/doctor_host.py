"""Checks of the device: board, power, temperature, clock and disk.

A missing sensor is not a fault: containers and desktops lack most of them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from pi_detector.cli.findings import Finding, fail, ok, warn
from pi_detector.core.clock import clock_synchronized
from pi_detector.telemetry import sensors
from pi_detector.telemetry.sensors import ROOT
from pi_detector.util.confinement.confine import available

_ABSENT = "not present on this device"
_HOT_CELSIUS = 80.0  # a Raspberry Pi lowers its clock from this temperature
_WARM_CELSIUS = 70.0
_DISK_WARN_MB = 500
_DISK_FAIL_MB = 50
_SLOW_GOVERNORS = ("powersave", "conservative")


def host_findings(root: Path = ROOT) -> Iterator[Finding]:
    """Check the device whose file system is mounted at ``root``."""
    uname = platform.uname()
    yield ok("kernel", f"{uname.system} {uname.release} {uname.version} {uname.machine}")
    yield board(root)
    yield throttling(sensors.throttled_word(root))
    yield temperature(root)
    yield governor(root)
    yield clock(clock_synchronized())
    yield confinement(available())


def confinement(found: list[str]) -> Finding:
    """Check which protections the kernel offers against a decoder taken over by crafted data.

    Args:
        found: the result of ``confine.available``.
    """
    what = "isolation"
    missing = [name for name in ("Landlock", "seccomp") if name not in " ".join(found)]
    if not missing:
        return ok(what, ", ".join(found))
    finding = f"{', '.join(found)}; the kernel has no {' and no '.join(missing)}"
    return warn(what, finding, "use a newer kernel; docs/security.md lists the missing protection")


def board(root: Path = ROOT) -> Finding:
    """Report the model of the Raspberry Pi."""
    model = sensors.pi_model(root)
    return ok("board", model or f"not a Raspberry Pi ({platform.machine()})")


def throttling(word: str | None) -> Finding:
    """Check whether low voltage or heat throttled the processor.

    Args:
        word: the result of ``sensors.throttled_word``.
    """
    what = "throttling"
    if word is None:
        return ok(what, f"sensor {_ABSENT}")
    bits = sensors.parse_word(word)
    if bits is None:
        return warn(
            what, f"unexpected firmware reply {word!r}", "run vcgencmd get_throttled by hand"
        )
    now = sensors.conditions(bits)
    past = sensors.conditions(bits >> sensors.SINCE_BOOT_SHIFT)
    advice = "use the official power supply and cool the board"
    if now:
        return warn(what, f"now: {', '.join(now)}", advice)
    if past:
        return warn(what, f"since boot: {', '.join(past)}", advice)
    return ok(what, "none since boot")


def temperature(root: Path = ROOT) -> Finding:
    """Check the temperature of the processor."""
    what = "temperature"
    celsius = sensors.cpu_celsius(root)
    if celsius is None:
        return ok(what, f"sensor {_ABSENT}")
    finding = f"processor at {celsius:.0f} °C"
    if celsius >= _HOT_CELSIUS:
        return warn(what, f"{finding}, at which the firmware throttles", "fit a heat sink or a fan")
    if celsius >= _WARM_CELSIUS:
        return warn(what, finding, "fit a heat sink or a fan before summer")
    return ok(what, finding)


def governor(root: Path = ROOT) -> Finding:
    """Check whether the kernel lets the processor run at full clock speed."""
    what = "CPU governor"
    name = sensors.cpu_governor(root)
    if name is None:
        return ok(what, f"frequency scaling {_ABSENT}")
    if name in _SLOW_GOVERNORS:
        fix = (
            "for full speed: "
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
        return warn(what, name, fix)
    return ok(what, name)


def clock(synchronized: bool) -> Finding:
    """Check whether the times in the records are reliable."""
    if synchronized:
        return ok("clock", "synchronized")
    fix = "sudo timedatectl set-ntp true; until then records have clock_synchronized=false"
    return warn("clock", "not synchronized", fix)


def disk_space(folder: Path) -> Finding:
    """Check for free space in ``folder``, which need not exist yet."""
    free_mb = sensors.free_mb(folder)
    if free_mb is None:
        return warn("disk", f"{folder}: cannot read its free space", "check the path")
    finding = f"{free_mb} MB free for {folder}"
    if free_mb < _DISK_FAIL_MB:
        return fail("disk", finding, "delete files, or set output.snapshots elsewhere")
    if free_mb < _DISK_WARN_MB:
        return warn("disk", finding, "delete files, or lower output.snapshot_keep")
    return ok("disk", finding)
