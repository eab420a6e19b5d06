"""What picamera2 is asked for before a camera starts: transform, sensor mode, tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import ConfigError
from pi_detector.sources.orientation import UNTURNED, Turn

_WITH_BITS = 3


def asked_of_sensor(settings: SourceSettings) -> dict[str, Any]:
    """The options of a configuration beside its streams, where the settings have some."""
    options: dict[str, Any] = {}
    turn = Turn.of(settings)
    # One that transposes is left to OpenCV, which then mirrors at no further cost.
    if turn != UNTURNED and not turn.transpose:
        from libcamera import Transform

        options["transform"] = Transform(hflip=turn.hflip, vflip=turn.vflip)
    mode = settings.sensor_mode
    if mode:
        options["sensor"] = {"output_size": mode[:2]}
        if len(mode) == _WITH_BITS:
            options["sensor"]["bit_depth"] = mode[2]
    return options


def turn_of(transform: Any) -> Turn:
    """What libcamera granted of a transform."""
    if transform is None:
        return UNTURNED
    return Turn(hflip=bool(transform.hflip), vflip=bool(transform.vflip))


def load_tuning(picamera2: Any, file: str) -> Any:
    """A camera's tuning, or None for the sensor's own.

    Args:
        picamera2: the class Picamera2.
        file: name of one of libcamera's files, or the path of one; empty for the sensor's own.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if not file:
        return None
    path = Path(file)
    where = {"dir": str(path.parent)} if len(path.parts) > 1 else {}
    try:
        return picamera2.load_tuning_file(path.name, **where)
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigError(
            f"source.tuning_file: {file} cannot be loaded ({error}); give the name of a file of "
            "libcamera, or the path of one"
        ) from error
