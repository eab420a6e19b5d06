"""``data.yaml`` of a YOLO data set."""

from __future__ import annotations

from pathlib import Path

import yaml

from deploy.data.formats.base import DatasetError, read_text


def read_config(file: Path) -> dict:
    """Read ``data.yaml``: its ``names`` as number to name, the rest as it is written.

    Raises:
        DatasetError: it is not YAML, or its names are neither a list nor a table.
    """
    try:
        # The base loader makes strings, lists and tables only: no class is named False for "no".
        config = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DatasetError(f"{file}: is not YAML ({error}); correct it") from error
    if not isinstance(config, dict):
        raise DatasetError(f"{file}: is not a table with `names`; is it a data.yaml?")
    names = config.get("names") or {}
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    try:
        config["names"] = {int(number): _name(name) for number, name in names.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{file}: `names` is neither a list of names nor a table of number: name; correct it"
        ) from error
    return config


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(name)
    return name.strip()
