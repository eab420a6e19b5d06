"""Checks of the machine: board, power, temperature, clock, disk.

A sensor that the machine does not have is no fault: containers and desktops lack most of them.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pi_detector.cli.findings import Finding, fail, ok, warn
from pi_detector.clock import clock_synchronized

ROOT = Path("/")

_ABSENT = "not present on this machine"
_HOT_CELSIUS = 80.0  # a Raspberry Pi lowers its clock from here on
_WARM_CELSIUS = 70.0
_DISK_WARN_MB = 500
_DISK_FAIL_MB = 50
_SLOW_GOVERNORS = ("powersave", "conservative")
_VCGENCMD_TIMEOUT_S = 5

# Source: Raspberry Pi documentation, vcgencmd get_throttled.
_THROTTLED_NOW = {
    0x1: "under-voltage",
    0x2: "clock capped",
    0x4: "throttled",
    0x8: "soft temperature limit",
}
_SINCE_BOOT_SHIFT = 16


def host_findings(root: Path = ROOT) -> Iterator[Finding]:
    """Check the machine whose file system begins at ``root``."""
    uname = platform.uname()
    yield ok("kernel", f"{uname.system} {uname.release} {uname.version} {uname.machine}")
    yield board(root)
    yield throttling(read_throttled(root))
    yield temperature(root)
    yield governor(root)
    yield clock(clock_synchronized())
    yield disk_space(state_folder())


def pi_model(root: Path = ROOT) -> str | None:
    """The name of the Raspberry Pi, or None on another machine."""
    model = _read(root / "proc/device-tree/model")
    return model if model is not None and model.startswith("Raspberry Pi") else None


def board(root: Path = ROOT) -> Finding:
    """Which Raspberry Pi it is."""
    model = pi_model(root)
    return ok("board", model or f"no Raspberry Pi ({platform.machine()})")


def read_throttled(root: Path = ROOT) -> str | None:
    """The throttling word as the firmware prints it, in hexadecimal, or None without firmware."""
    if root == ROOT and (vcgencmd := shutil.which("vcgencmd")):
        try:
            told = subprocess.run(
                [vcgencmd, "get_throttled"],
                capture_output=True,
                text=True,
                timeout=_VCGENCMD_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if told.returncode == 0:
            return told.stdout.strip().removeprefix("throttled=")
    return _read(root / "sys/devices/platform/soc/soc:firmware/get_throttled")


def throttling(word: str | None) -> Finding:
    """Whether power or heat slowed the processor.

    Args:
        word: of ``read_throttled``.
    """
    what = "throttling"
    if word is None:
        return ok(what, f"sensor {_ABSENT}")
    try:
        bits = int(word, 16)
    except ValueError:
        return warn(what, f"firmware answers {word!r}", "run vcgencmd get_throttled by hand")
    now = [name for bit, name in _THROTTLED_NOW.items() if bits & bit]
    past = [name for bit, name in _THROTTLED_NOW.items() if bits & bit << _SINCE_BOOT_SHIFT]
    advice = "use the official power supply, cool the board"
    if now:
        return warn(what, f"now: {', '.join(now)}", advice)
    if past:
        return warn(what, f"since boot: {', '.join(past)}", advice)
    return ok(what, "none since boot")


def temperature(root: Path = ROOT) -> Finding:
    """How hot the processor is."""
    what = "temperature"
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind, millidegrees = _read(zone / "type"), _read(zone / "temp")
        if kind is None or "cpu" not in kind.lower() or millidegrees is None:
            continue
        try:
            celsius = int(millidegrees) / 1000
        except ValueError:
            continue
        finding = f"processor at {celsius:.0f} °C"
        if celsius >= _HOT_CELSIUS:
            return warn(what, f"{finding}, where the clock is lowered", "fit a heat sink or a fan")
        if celsius >= _WARM_CELSIUS:
            return warn(what, finding, "fit a heat sink or a fan before summer")
        return ok(what, finding)
    return ok(what, f"sensor {_ABSENT}")


def governor(root: Path = ROOT) -> Finding:
    """Whether the kernel lets the processor run at full clock."""
    what = "CPU governor"
    name = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if name is None:
        return ok(what, f"frequency scaling {_ABSENT}")
    if name in _SLOW_GOVERNORS:
        fix = (
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor, "
            "for full speed"
        )
        return warn(what, name, fix)
    return ok(what, name)


def clock(synchronized: bool) -> Finding:
    """Whether the times in the records can be trusted."""
    if synchronized:
        return ok("clock", "synchronized")
    fix = "sudo timedatectl set-ntp true; records carry clock_synchronized=false meanwhile"
    return warn("clock", "not synchronized", fix)


def state_folder() -> Path:
    """Where the daemon, or this user, keeps files that grow.

    The first of: systemd's ``STATE_DIRECTORY``, /var/lib/pi-detector where it exists,
    the XDG state folder of the user.
    """
    if told := os.environ.get("STATE_DIRECTORY"):
        return Path(told.split(":")[0])
    system = Path("/var/lib/pi-detector")
    if system.is_dir():
        return system
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local/state") / "pi-detector"


def disk_space(folder: Path) -> Finding:
    """Whether there is room for pictures and logs in ``folder``, which need not exist yet."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    finding = f"{free_mb} MB free for {folder}"
    if free_mb < _DISK_FAIL_MB:
        return fail("disk", finding, "delete files, or set output.snapshots elsewhere")
    if free_mb < _DISK_WARN_MB:
        return warn("disk", finding, "delete files, or lower output.snapshot_keep")
    return ok("disk", finding)


def _read(path: Path) -> str | None:
    """Text of a kernel's file without trailing NUL and space, or None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return None
