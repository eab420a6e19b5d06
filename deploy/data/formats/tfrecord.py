"""TFRecord files of ``tf.train.Example``, as TensorFlow's detection tools write them.

TensorFlow is not needed: the two message types are described here and decoded by protobuf, which
the LiteRT runtime brings. A record's check sums are verified.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

from deploy.data.formats.base import (
    Box,
    DatasetError,
    Item,
    ReadOptions,
    Skipped,
    Source,
    check_fractions,
    check_size,
    choose_split,
    each_item,
    photo_facts,
    read_text,
    split_prefix,
)

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MASK_DELTA = 0xA282EAD8  # TensorFlow's, so that a check sum of check sums differs from them.
_PATTERNS = ("*.tfrecord*", "*.record*", "*.tfrec", "*-of-*")


# The field numbers are those of TensorFlow's example.proto and feature.proto, and of the Object
# Detection API's string_int_label_map.proto. A map is the same bytes as a list of its entries.
_SCHEMA = """
name: "deploy/tfrecord.proto" package: "deploy" syntax: "proto3"
message_type { name: "BytesList"
  field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "FloatList"
  field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Int64List"
  field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type { name: "Feature"
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: ".deploy.BytesList" }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: ".deploy.FloatList" }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: ".deploy.Int64List" } }
message_type { name: "Entry"
  field { name: "key" number: 1 type: TYPE_STRING }
  field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".deploy.Feature" } }
message_type { name: "Features"
  field { name: "feature" number: 1 type: TYPE_MESSAGE type_name: ".deploy.Entry"
          label: LABEL_REPEATED } }
message_type { name: "Example"
  field { name: "features" number: 1 type: TYPE_MESSAGE type_name: ".deploy.Features" } }
message_type { name: "LabelMapItem"
  field { name: "name" number: 1 type: TYPE_STRING }
  field { name: "id" number: 2 type: TYPE_INT32 }
  field { name: "display_name" number: 3 type: TYPE_STRING } }
message_type { name: "LabelMap"
  field { name: "item" number: 1 type: TYPE_MESSAGE type_name: ".deploy.LabelMapItem"
          label: LABEL_REPEATED } }
"""


def open_tfrecords(path: Path, options: ReadOptions) -> Source:
    """Open a TFRecord file, or a folder of them.

    Of a folder, ``options.split`` reads the files whose names begin with it. Classes go by
    ``image/object/class/text``; where a record has numbers only, by ``options.names``, or by the
    label map (``*label_map.pbtxt``) beside the file.

    Raises:
        DatasetError: there is no such file.
    """
    files = [path] if path.is_file() else _files(path, options.split)
    if not files:
        raise DatasetError(f"{path}: holds no .tfrecord or .record file")
    maps = sorted(files[0].parent.glob("*label_map.pbtxt"))
    names = dict(options.names) or (read_label_map(maps[0]) if maps else {})
    return Source(tuple(names.values()) or None, _items(files, names))


def _files(folder: Path, wanted: str | None) -> list[Path]:
    files = sorted({f for pattern in _PATTERNS for f in folder.glob(pattern) if f.is_file()})
    splits = {split for f in files if (split := split_prefix(f.name))}
    if wanted is None and len(splits) < 2:
        return files
    split = choose_split(splits, wanted, folder)
    return [f for f in files if split_prefix(f.name) == split]


def read_records(file: Path) -> Iterator[bytes]:
    """The records of a TFRecord file.

    A record is its length (8 bytes, little-endian), the length's check sum (4), the data, and
    the data's check sum (4).

    Raises:
        DatasetError: the file cannot be read, ends within a record, or a check sum is wrong.
    """
    try:
        with file.open("rb") as stream:
            left = file.stat().st_size
            number = 0
            while header := stream.read(12):
                number += 1
                where = f"{file}: record {number}"
                if header.startswith(b"\x1f\x8b"):
                    raise DatasetError(f"{file}: is compressed; unpack it with gunzip")
                if len(header) < 12:
                    raise DatasetError(f"{where} is cut off; copy the file again")
                length, check = struct.unpack("<QI", header)
                if check != masked_crc(header[:8]):
                    raise DatasetError(f"{where}: wrong check sum; is it a TFRecord, and whole?")
                left -= 12
                if length + 4 > left:
                    raise DatasetError(f"{where} is cut off; copy the file again")
                data, (check,) = stream.read(length), struct.unpack("<I", stream.read(4))
                if check != masked_crc(data):
                    raise DatasetError(f"{where}: wrong check sum; the file is damaged")
                left -= length + 4
                yield data
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror})") from error


def masked_crc(data: bytes) -> int:
    """The CRC-32C of some bytes as TFRecord stores it: rotated by 15 bits, and shifted."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


@functools.cache
def message_types() -> tuple[type[message.Message], type[message.Message]]:
    """The message types ``tf.train.Example`` and ``StringIntLabelMap`` (a label map)."""
    file = text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles([file.name], pool)
    return classes["deploy.Example"], classes["deploy.LabelMap"]


def read_label_map(file: Path) -> dict[int, str]:
    """Read a label map (``label_map.pbtxt``): number of a class to its name.

    Raises:
        DatasetError: it is no label map, or empty.
    """
    label_map: Any = message_types()[1]()
    try:
        text_format.Parse(read_text(file), label_map, allow_unknown_field=True)
    except (text_format.ParseError, RecursionError) as error:
        raise DatasetError(f"{file}: is not a label map ({error}); correct it") from error
    names = {item.id: (item.display_name or item.name).strip() for item in label_map.item}
    if not names or not all(names.values()):
        raise DatasetError(f"{file}: needs items with `id` and `name`; is it a label map?")
    return names


def _items(files: list[Path], names: dict[int, str]) -> Iterator[Item | Skipped]:
    for file in files:

        def read(entry: tuple[int, bytes], file: Path = file) -> Item:
            number, record = entry
            return _item(record, names, f"{file}: record {number}", f"{file.name}-{number}")

        def where(entry: tuple[int, bytes], file: Path = file) -> str:
            return f"{file}: record {entry[0]}"

        try:
            yield from each_item(enumerate(read_records(file), 1), where, read)
        except DatasetError as error:  # Where the next record begins is not known.
            yield Skipped(str(file), str(error))


def _item(record: bytes, names: dict[int, str], where: str, fallback: str) -> Item:
    features = parse_example(record, where)
    photo = next(iter(features.get("image/encoded", [])), None)
    if not isinstance(photo, bytes):
        raise DatasetError(f"{where}: has no `image/encoded`; is it of a detection data set?")
    size, suffix = photo_facts(photo, where)
    stated = [next(iter(features.get(f"image/{side}", [])), 0) for side in ("width", "height")]
    if all(isinstance(side, int) for side in stated):
        check_size((stated[0], stated[1]), size, where)
    name = PurePosixPath(_text(features.get("image/filename", [b""]), where)[0].replace("\\", "/"))
    stem = name.stem if name.stem.isprintable() and not name.stem.startswith(".") else ""
    return Item(where, (stem[:100] or fallback) + suffix, photo, size,
                _boxes(features, names, size, where))  # fmt: skip


def parse_example(record: bytes, where: str) -> dict[str, list]:
    """The features of a serialized ``tf.train.Example``: lists of bytes, float or int by name.

    Raises:
        DatasetError: it is no such message.
    """
    example: Any = message_types()[0]()
    try:
        example.ParseFromString(record)
    except message.DecodeError as error:
        raise DatasetError(f"{where}: is not a tf.train.Example ({error})") from error
    return {
        entry.key: [value for _, values in entry.value.ListFields() for value in values.value]
        for entry in example.features.feature
    }


def _text(values: list, where: str) -> list[str]:
    try:
        return [value.decode("utf-8").strip() for value in values] or [""]
    except (AttributeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{where}: has a name that is not UTF-8 text; correct it") from error


def _boxes(
    features: dict[str, list], names: dict[int, str], size: tuple[int, int], where: str
) -> tuple[Box, ...]:
    columns = [features.get(f"image/object/bbox/{corner}", []) for corner in _CORNERS]
    count = len(columns[0])
    if not all(isinstance(value, float) for column in columns for value in column):
        raise DatasetError(f"{where}: boxes are not floats; write them as fractions of the size")
    labels = _labels(features, names, where) if count else []
    flags = {
        key: features.get(f"image/object/{key}") or [0] * count for key in ("difficult", "is_crowd")
    }
    lengths = {*map(len, columns), len(labels), *map(len, flags.values())}
    if lengths != {count}:
        raise DatasetError(f"{where}: coordinates, classes and flags differ in number; write again")
    check_fractions((value for column in columns for value in column), where)
    across, down = size
    return tuple(
        Box(label, (left * across, top * down, right * across, bottom * down), hard == 1, many == 1)
        for label, left, top, right, bottom, hard, many in zip(
            labels, *columns, flags["difficult"], flags["is_crowd"], strict=True
        )
    )


def _labels(features: dict[str, list], names: dict[int, str], where: str) -> list[str]:
    if features.get("image/object/class/text"):
        labels = _text(features["image/object/class/text"], where)
        if not all(labels):
            raise DatasetError(f"{where}: an object's class has no name; correct it")
        return labels
    numbers = features.get("image/object/class/label", [])
    if not names:
        raise DatasetError(
            f"{where}: classes are numbers only; give their names with --names label_map.pbtxt"
        )
    if unknown := [number for number in numbers if number not in names]:
        raise DatasetError(
            f"{where}: class {unknown[0]} is not in the label map; add it there, or to --names"
        )
    return [names[number] for number in numbers]
