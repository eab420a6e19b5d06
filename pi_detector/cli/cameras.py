"""``pi-detector cameras``: the cameras that are there, and what can be set on them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command

if TYPE_CHECKING:
    from pi_detector.sources.abilities import Abilities

_DESCRIPTION = """\
List the cameras, and of each one its controls, pixel formats and sensor modes, for the settings
source.controls, source.pixel_format and source.sensor_mode. A camera that is in use may not show
all of it. The exit code is 0, or 66 where there is no camera."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "cameras",
        "list cameras, and the controls that they have",
        _DESCRIPTION,
        """
        pi-detector cameras
        pi-detector cameras --json | jq -r '.cameras[].uri'
        pi-detector run --set source.controls.brightness=40
        """,
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """List all cameras."""
    from pi_detector.sources.abilities import abilities_of
    from pi_detector.sources.discover import find_cameras

    found = [abilities_of(camera) for camera in find_cameras()]
    if args.json:
        print(_as_json(found))
    elif not found:
        print("no cameras; 'pi-detector doctor' says what is missing")
    else:
        print("\n\n".join(_as_text(each) for each in found))
    return os.EX_OK if found else os.EX_NOINPUT


def _as_text(abilities: Abilities) -> str:
    lines = [f"{abilities.uri} ({abilities.description})"]
    if abilities.problem:
        lines.append(f"  cannot be asked: {abilities.problem}")
    if abilities.pixel_formats:
        lines.append(f"  pixel formats: {', '.join(abilities.pixel_formats)}")
    for width, height, bits in abilities.sensor_modes:
        lines.append(f"  sensor mode: [{width}, {height}, {bits}]")
    if abilities.controls:
        lines.append("  controls:")
    for control in abilities.controls:
        notes = [f"default {control.default}"] if control.default is not None else []
        notes += [f"now {control.value}"] if control.value is not None else []
        notes += ["set by another control"] if control.inactive else []
        lines.append(f"    {control.name}: {'; '.join([control.range, *notes])}")
    return "\n".join(lines)


def _as_json(found: list[Abilities]) -> str:
    import json
    from dataclasses import asdict

    return json.dumps({"cameras": [asdict(each) for each in found]}, indent=2, ensure_ascii=False)
