"""``pi-detector tune``: runtime and threads for this machine, by measurement."""

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
    from pi_detector.detector.runtime import RuntimeName

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Measure every usable runtime with one to four threads on this machine, and say which is best
for the model of the settings. With --write, set model.threads in the settings file, and
model.runtime where several are installed; all else in it stays as it is.

The cases are measured in turn, round by round, as by 'pi-detector bench'. Of those that are as
good as the best, but for noise, the one with the fewest threads is taken.

best for:
  throughput    the most frames a second
  latency       the shortest time for a frame
  efficiency    the least processor time a frame, at --fps or more: cool, and sparing a battery"""

_EXAMPLES = """
pi-detector tune
sudo pi-detector tune --write
pi-detector tune --for efficiency --fps 5
"""

_HOT_CELSIUS = 80.0
_FIGURES = ("pipeline_fps", "invoke_ms", "pipeline_cpu_ms")
_MAX_THREADS = 4


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "tune", "choose runtime and threads for this machine", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument(
        "--for",
        dest="objective",
        choices=("throughput", "latency", "efficiency"),
        default="throughput",
        help="what is wanted (default: throughput)",
    )
    parser.add_argument(
        "--fps",
        metavar="F",
        type=_positive,
        default=5.0,
        help="frames a second that efficiency must reach (default: 5)",
    )
    parser.add_argument(
        "--write", action="store_true", help="set it in the settings file; else it is only told"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="also on a machine that is throttled or hot"
    )
    parser.add_argument("--rounds", metavar="N", type=positive_int, default=9, help="default: 9")
    parser.add_argument(
        "--frames", metavar="N", type=positive_int, default=20, help="a round (default: 20)"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure, tell, and write.

    Raises:
        UnfitMachineError: the machine is throttled or hot.
        PiDetectorError: settings or model are at fault, or the settings file cannot be changed.
    """
    settings = settings_of(args)
    file = _file_to_change(args) if args.write else None
    _check_machine(anyway=args.anyway)
    cases = _measure(args, settings)

    from pi_detector.bench.choose import choose

    choice = choose(cases, args.objective, args.fps)
    values = _values(cases, choice)
    _print(cases, choice, args, values)
    if file is None:
        print("nothing was written; --write sets it in the settings file")
    else:
        _check_machine(anyway=args.anyway)
        _write(args, file, values)
    return os.EX_OK


def _check_machine(*, anyway: bool) -> None:
    """Refuse where figures would be those of a throttled processor."""
    from pi_detector.bench import machine

    moment = machine.observe()
    why = ", ".join(moment.throttling)
    if not why and moment.celsius is not None and moment.celsius >= _HOT_CELSIUS:
        why = f"the processor is at {moment.celsius:.0f} °C"
    if why and not anyway:
        raise UnfitMachineError(
            f"{why}: the choice would be one for a throttled processor; check power supply and "
            "cooling, let it cool down, or add --anyway"
        )


def _measure(args: argparse.Namespace, settings: Settings) -> list[Case]:
    runtimes = _usable_runtimes()
    done = measure(lambda: _subjects(settings, runtimes), args.rounds, args.frames)
    return [subject.case() for subject in done.subjects]


def _usable_runtimes() -> list[RuntimeName]:
    """The installed runtimes that can be imported; at least one, with a warning for the others."""
    from pi_detector.detector.runtime import choose_runtime, installed_runtimes, load_runtime

    choose_runtime("auto")  # says what to install where there is none
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
    """Every runtime, with every number of threads."""
    import msgspec

    from pi_detector.bench.frames import load_frames
    from pi_detector.bench.measure import Subject
    from pi_detector.detector.bundle import load_model

    bundle = load_model(settings.model)
    images = load_frames("", (settings.source.width, settings.source.height))
    cores = len(os.sched_getaffinity(0))
    return [
        Subject(
            bundle,
            msgspec.structs.replace(
                settings,
                model=msgspec.structs.replace(settings.model, runtime=runtime, threads=threads),
            ),
            images,
        )
        for runtime in runtimes
        for threads in range(1, min(cores, _MAX_THREADS) + 1)
    ]


def _values(cases: list[Case], choice: Choice) -> dict[str, str | int]:
    """What to set. A runtime that is the only one here is no choice."""
    values: dict[str, str | int] = {"threads": choice.case.threads}
    if len({case.runtime for case in cases}) > 1:
        values["runtime"] = choice.case.runtime
    return values


def _print(
    cases: list[Case], choice: Choice, args: argparse.Namespace, values: dict[str, str | int]
) -> None:
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
        logger.warning("nothing reaches %g frames/s here: the fastest is taken", args.fps)
    words = ", ".join(f"model.{name} = {json.dumps(value)}" for name, value in values.items())
    print(f"for {args.objective}: {words}")
    if choice.best is not choice.case:
        print(
            f"  {choice.figure} of {choice.best.runtime} with {choice.best.threads} threads is "
            "better only within the noise"
        )


def _file_to_change(args: argparse.Namespace) -> Path:
    """The settings file. Seen before minutes of measuring that it can be changed."""
    from pi_detector.config.edit import check_changeable
    from pi_detector.config.load import find_config

    file = Path(args.config) if args.config else find_config(os.environ)
    if file is None:
        raise ConfigError(
            "there is no settings file to write to; make one with 'pi-detector config init', and "
            "name it with --config"
        )
    check_changeable(file)
    return file


def _write(args: argparse.Namespace, file: Path, values: dict[str, str | int]) -> None:
    from pi_detector.config.edit import change_settings

    change_settings(file, "model", values)
    print(f"{file}: changed; a running pi-detector takes it up at a reload")
    effective = read_settings(args).model
    for name, value in values.items():
        if getattr(effective, name) != value:
            variable = f"PI_DETECTOR__MODEL__{name.upper()}"
            where = f"the environment variable {variable}" if variable in os.environ else "--set"
            logger.warning(
                "model.%s: %s overrides the file, with %r",
                name,
                where,
                getattr(effective, name),
            )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
