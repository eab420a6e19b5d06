"""The device of a benchmark: its description, and whether it is fit for measuring."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pi_detector.bench.results import Machine
from pi_detector.detector.runtime import available_runtimes
from pi_detector.telemetry import sensors
from pi_detector.telemetry.sensors import ROOT

_PACKAGES = ("numpy", "opencv-python-headless", "msgspec")
_WARM_CELSIUS = 70.0
_BUSY_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """How the machine is at one moment; None where it has no such sensor.

    Attributes:
        mhz: clock of the processor.
        celsius: its temperature.
        load: mean number of running programs in the last minute.
        throttling: what slows it, in words.
    """

    mhz: float | None
    celsius: float | None
    load: float | None
    throttling: list[str]


def observe(root: Path = ROOT) -> Moment:
    """How the machine is now."""
    word = sensors.throttled_word(root)
    bits = None if word is None else sensors.parse_word(word)
    return Moment(
        sensors.cpu_mhz(root),
        sensors.cpu_celsius(root),
        sensors.first_number(root / "proc/loadavg"),
        [] if bits is None else sensors.conditions(bits),
    )


def warnings_before(moment: Moment, governor: str | None, cores: int) -> list[str]:
    """What speaks against measuring now, each with the fix."""
    found = []
    if governor is not None and governor != "performance":
        found.append(
            f"the CPU governor is {governor}, so the clock changes while measuring: echo "
            "performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    if moment.celsius is not None and moment.celsius >= _WARM_CELSIUS:
        found.append(f"the processor is already at {moment.celsius:.0f} °C: let it cool down")
    if moment.throttling:
        found.append(f"{', '.join(moment.throttling)}: check power supply and cooling")
    if moment.load is not None and moment.load > _BUSY_SHARE * cores:
        found.append(
            f"other programs use the device (load {moment.load:.1f}): end them, or only compare "
            "cases within this run"
        )
    return found


def warnings_after(before: Moment, after: Moment) -> list[str]:
    """What went wrong while measuring."""
    found = []
    if after.throttling:
        found.append(f"{', '.join(after.throttling)} while measuring: the figures are too slow")
    if before.mhz and after.mhz and after.mhz < 0.95 * before.mhz:
        found.append(f"the clock fell from {before.mhz:.0f} to {after.mhz:.0f} MHz")
    return found


def machine_of(before: Moment, after: Moment, root: Path = ROOT) -> Machine:
    """The machine of a report."""
    packages = {name: metadata.version(name) for name in _PACKAGES if _is_installed(name)}
    return Machine(
        board=sensors.pi_model(root) or platform.machine(),
        kernel=platform.release(),
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        packages=packages | {str(name): text for name, text in available_runtimes().items()},
        governor=sensors.cpu_governor(root),
        mhz_before=before.mhz,
        mhz_after=after.mhz,
        celsius_before=before.celsius,
        celsius_after=after.celsius,
        load_before=before.load,
        throttling=after.throttling,
    )


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
