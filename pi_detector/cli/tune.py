"""``pi-detector tune``: choose runtime, threads and looks for this device, by measurement."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command, positive_int, read_settings, settings_of
from pi_detector.cli.measuring import measure
from pi_detector.errors import ConfigError, RuntimeMissingError, UnfitMachineError

if TYPE_CHECKING:
    from pi_detector.bench.choose import Choice
    from pi_detector.bench.measure import Subject
    from pi_detector.bench.results import Case
    from pi_detector.config.settings import Settings
    from pi_detector.core.frame import ImageArray
    from pi_detector.detector.runtime import RuntimeName

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Measure every usable runtime with one to four threads on this device, and report the best choice
for the model of the settings. With --write, set model.threads in the settings file, and
model.runtime if several are installed; the rest of the file is not changed. If the settings have
detection.looks, also find how many looks per frame reach --fps, and set that.

The cases are measured in turn, round by round, as by 'pi-detector bench'. Among the cases that
equal the best within noise, the one with the fewest threads is chosen.

best for:
  throughput    the most frames per second
  latency       the shortest time per frame
  efficiency    the least processor time per frame, at --fps or more: saves heat and battery"""

_EXAMPLES = """
pi-detector tune
sudo pi-detector tune --write
pi-detector tune --for efficiency --fps 5
"""

Values = dict[str, dict[str, str | int]]
"""What to set: by section, by name."""

_HOT_CELSIUS = 80.0
_FIGURES = ("pipeline_fps", "invoke_ms", "pipeline_cpu_ms")
_MAX_THREADS = 4


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "tune", "choose runtime and threads for this device", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument(
        "--for",
        dest="objective",
        choices=("throughput", "latency", "efficiency"),
        default="throughput",
        help="objective (default: throughput)",
    )
    parser.add_argument(
        "--fps",
        metavar="F",
        type=_positive,
        default=5.0,
        help="frames per second that efficiency and looks must reach (default: 5)",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the choice to the settings file; otherwise it is only printed",
    )
    parser.add_argument(
        "--anyway", action="store_true", help="measure even on a throttled or hot device"
    )
    parser.add_argument(
        "--rounds", metavar="N", type=positive_int, default=9, help="number of rounds (default: 9)"
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=positive_int,
        default=20,
        help="frames per round (default: 20)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure, report, and write.

    Raises:
        UnfitMachineError: the device is throttled or hot.
        PiDetectorError: the settings or the model are unusable, or the settings file cannot be
            changed.
    """
    settings = settings_of(args)
    file = _file_to_change(args) if args.write else None
    _check_machine(anyway=args.anyway)
    cases = _measure(args, settings)

    from pi_detector.bench.choose import choose

    choice = choose(cases, args.objective, args.fps)
    values = {"model": _values(cases, choice)}
    if settings.detection.looks != 0:
        values["detection"] = {"looks": _looks(args, settings, choice)}
    _print(cases, choice, args, values)
    if file is None:
        print("nothing was written; --write writes it to the settings file")
    else:
        _check_machine(anyway=args.anyway)
        _write(args, file, values)
    return os.EX_OK


def _check_machine(*, anyway: bool) -> None:
    """Refuse to measure on a throttled processor."""
    from pi_detector.bench import machine

    moment = machine.observe()
    why = ", ".join(moment.throttling)
    if not why and moment.celsius is not None and moment.celsius >= _HOT_CELSIUS:
        why = f"the processor is at {moment.celsius:.0f} °C"
    if why and not anyway:
        raise UnfitMachineError(
            f"{why}: the choice would be made for a throttled processor; check power supply and "
            "cooling, let it cool down, or add --anyway"
        )


def _measure(args: argparse.Namespace, settings: Settings) -> list[Case]:
    runtimes = _usable_runtimes()
    whole = _with(settings, "detection", looks=0)
    done = measure(lambda: _subjects(whole, runtimes), args.rounds, args.frames)
    return [subject.case() for subject in done.subjects]


def _looks(args: argparse.Namespace, settings: Settings, choice: Choice) -> int:
    """The most looks per frame that reach the rate, as the whole pipeline runs with them."""
    from pi_detector.bench.measure import Subject
    from pi_detector.detector.bundle import load_model
    from pi_detector.pipeline.looks import LookBudget

    case = choice.case
    budget = LookBudget()
    budget.want("auto", args.fps)
    budget.note(1, case.figures["invoke_ms"].median + case.figures["decode_ms"].median)
    chosen = _with(settings, "model", runtime=case.runtime, threads=case.threads)
    looks, bundle, images = budget.looks, load_model(settings.model), _images(settings)
    while looks > 1:
        subject = Subject(bundle, _with(chosen, "detection", looks=looks), images)
        fps = subject.pipeline(args.frames, 0.0)["pipeline_fps"]
        logger.info("%d looks per frame: %.1f frames per second", looks, fps)
        if fps >= args.fps:
            break
        looks -= 1
    return looks


def _with(settings: Settings, section: str, **values: object) -> Settings:
    """The settings with other values in a section."""
    import msgspec

    changed = msgspec.structs.replace(getattr(settings, section), **values)
    return msgspec.structs.replace(settings, **{section: changed})


def _images(settings: Settings) -> list[ImageArray]:
    from pi_detector.bench.frames import load_frames

    return load_frames("", (settings.source.width, settings.source.height))


def _usable_runtimes() -> list[RuntimeName]:
    """The installed runtimes that can be imported; at least one, with a warning for the others."""
    from pi_detector.detector.runtime import choose_runtime, installed_runtimes, load_runtime

    choose_runtime("auto")  # reports what to install if there is none
    usable, broken = [], []
    for name in installed_runtimes():
        try:
            load_runtime(name)
            usable.append(name)
        except RuntimeMissingError as error:
            broken.append(error)
    if not usable:
        raise broken[0]
    for why in broken:
        logger.warning("not measured: %s", why)
    return usable


def _subjects(settings: Settings, runtimes: list[RuntimeName]) -> list[Subject]:
    """Every runtime with every number of threads."""
    from pi_detector.bench.measure import Subject
    from pi_detector.detector.bundle import load_model

    bundle = load_model(settings.model)
    images = _images(settings)
    cores = len(os.sched_getaffinity(0))
    return [
        Subject(bundle, _with(settings, "model", runtime=runtime, threads=threads), images)
        for runtime in runtimes
        for threads in range(1, min(cores, _MAX_THREADS) + 1)
    ]


def _values(cases: list[Case], choice: Choice) -> dict[str, str | int]:
    """The settings to write; the runtime only if several are installed."""
    values: dict[str, str | int] = {"threads": choice.case.threads}
    if len({case.runtime for case in cases}) > 1:
        values["runtime"] = choice.case.runtime
    return values


def _print(cases: list[Case], choice: Choice, args: argparse.Namespace, values: Values) -> None:
    print(f"{'runtime':<8} {'threads':>7}" + "".join(f" {name:>24}" for name in _FIGURES))
    for case in cases:
        figures = (case.figures[name] for name in _FIGURES)
        cells = (f"{figure.median:g} ({figure.q1:g}..{figure.q3:g})" for figure in figures)
        mark = "  <" if case is choice.case else ""
        print(
            f"{case.runtime:<8} {case.threads:>7}"
            + "".join(f" {cell:>24}" for cell in cells)
            + mark
        )
    if not choice.fast_enough:
        logger.warning("no case reaches %g frames/s on this device; choosing the fastest", args.fps)
    words = ", ".join(
        f"{section}.{name} = {json.dumps(value)}"
        for section, found in values.items()
        for name, value in found.items()
    )
    print(f"for {args.objective}: {words}")
    if choice.best is not choice.case:
        print(
            f"  {choice.figure} of {choice.best.runtime} with {choice.best.threads} threads is "
            "better only within noise"
        )


def _file_to_change(args: argparse.Namespace) -> Path:
    """The settings file, checked to be writable before minutes of measuring."""
    from pi_detector.config.edit import check_changeable
    from pi_detector.config.load import find_config

    file = Path(args.config) if args.config else find_config(os.environ)
    if file is None:
        raise ConfigError(
            "--write: no settings file found; create one with 'pi-detector config init', and name "
            "it with --config"
        )
    check_changeable(file)
    return file


def _write(args: argparse.Namespace, file: Path, values: Values) -> None:
    from pi_detector.config.edit import change_settings

    for section, found in values.items():
        change_settings(file, section, found)
    print(f"{file}: changed; a running pi-detector applies it at a reload")
    settings = read_settings(args)
    for section, found in values.items():
        for name, value in found.items():
            _warn_if_overridden(section, name, value, getattr(getattr(settings, section), name))


def _warn_if_overridden(section: str, name: str, value: object, effective: object) -> None:
    if effective != value:
        variable = f"PI_DETECTOR__{section.upper()}__{name.upper()}"
        where = f"the environment variable {variable}" if variable in os.environ else "--set"
        logger.warning("%s.%s: %s overrides the file with %r", section, name, where, effective)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
