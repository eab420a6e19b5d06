"""What the maker of a .tflite file wrote into it: labels, task, scale of the input.

Three forms exist. TFLite Metadata is a flatbuffer in the model, with files such as
``labelmap.txt`` in a ZIP archive at the model's end. Ultralytics appends an archive alone, with
``metadata.json`` or, until 2023, a ``temp_meta.txt`` in Python's notation. All of it is untrusted:
sizes are bounded, and what cannot be understood is left out.

Sources: ``metadata_schema.fbs`` of TFLite Support, and exported files.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pi_detector.detector.flatbuffer import DAMAGE, Table, read_unsigned

_LONGEST = 4 * 1024 * 1024
_LONGEST_PYTHON = 256 * 1024
_LONGEST_TEXT = 200
# Numbers of the fields, in the order in which a table declares them; of schema.fbs:
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER, _BUFFER_DATA = 0, 1, 0
# Of metadata_schema.fbs:
_SUBGRAPHS, _LICENCE, _SUBGRAPH_INPUTS, _TENSOR_UNITS = 3, 5, 2, 4
_UNIT_KIND, _UNIT_OPTIONS, _MEAN, _DEVIATION = 0, 1, 0, 1
_NORMALIZATION = 1
_TABLES = ("metadata.json", "temp_meta.txt", "temp_meta.json", "meta.txt")


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a model says of itself beside its graph.

    Attributes:
        labels: file of labels in it: its name and content; None: none.
        table: the table that Ultralytics writes; empty without one.
        mean: of the input, one or one per channel, in its own unit; empty where it is not said.
        deviation: see `mean`.
        licence: of the model, in its maker's words; may be empty.
    """

    labels: tuple[str, bytes] | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    licence: str = ""


def read_own_words(model: bytes) -> OwnWords:
    """What a .tflite file says of itself; nothing where it is damaged.

    Args:
        model: the file's bytes.
    """
    labels, table = _archive(model)
    mean, deviation, licence = _flatbuffer(model)
    said = table.get("license")
    if isinstance(said, str):
        licence = said
    return OwnWords(labels, table, mean, deviation, " ".join(licence.split())[:_LONGEST_TEXT])


def _archive(model: bytes) -> tuple[tuple[str, bytes] | None, dict[str, Any]]:
    """The labels and the table in the ZIP archive at the end of a model."""
    # Not at the top: they bring shutil, threading and more, which a start need not pay for.
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            files = [each for each in archive.infolist() if each.file_size <= _LONGEST]
            labels = [each for each in files if "label" in each.filename.lower()]
            tables = [each for each in files if each.filename in _TABLES]
            read = (labels[0].filename, archive.read(labels[0])) if len(labels) == 1 else None
            return read, _table(archive.read(tables[0])) if tables else {}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError):
        return None, {}
    except (ValueError, struct.error):  # a damaged directory
        return None, {}


def _table(data: bytes) -> dict[str, Any]:
    """A table in JSON or in Python's notation."""
    import ast  # large, and few models need it

    text = data.decode("utf-8", "replace")
    for read in (json.loads, ast.literal_eval):
        if read is ast.literal_eval and len(text) > _LONGEST_PYTHON:
            continue
        try:
            table = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(table, dict):
            return table
    return {}


def _flatbuffer(model: bytes) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean and deviation of the first input, and the licence, of TFLite Metadata."""
    try:
        root = Table(model, read_unsigned(model, 0))
        number = next(
            each.number(_METADATA_BUFFER, "<I")
            for each in root.tables(_MODEL_METADATA)
            if each.bytes(_METADATA_NAME) == b"TFLITE_METADATA"
        )
        data = list(root.tables(_MODEL_BUFFERS))[number].bytes(_BUFFER_DATA)
        said = Table(data, read_unsigned(data, 0))
        licence = said.bytes(_LICENCE).decode("utf-8", "replace")
        image = next(next(said.tables(_SUBGRAPHS)).tables(_SUBGRAPH_INPUTS))
    except DAMAGE:
        return (), (), ""
    try:
        for unit in image.tables(_TENSOR_UNITS):
            if unit.number(_UNIT_KIND, "<B") == _NORMALIZATION:
                options = unit.table(_UNIT_OPTIONS)
                return options.floats(_MEAN), options.floats(_DEVIATION), licence
    except DAMAGE:
        pass
    return (), (), licence
