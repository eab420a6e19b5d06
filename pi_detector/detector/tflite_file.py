"""Reads facts about a network from a .tflite file, without a runtime.

A .tflite file is a flatbuffer. The few fields needed here are read by hand: its schema's Python
classes come with LiteRT only, and load a second copy of the whole model. All data may be damaged:
each offset is checked, and nothing is read twice or recursively.

Sources: the flatbuffers and flexbuffers internals documents, ``tensorflow/lite/schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

POSTPROCESS = "TFLite_Detection_PostProcess"

_CUSTOM_OPERATOR = 32
_MAX_NAME = 80
# Numbers of the fields in schema.fbs, in the order in which a table declares them.
_MODEL_CODES, _MODEL_GRAPHS = 1, 2
_CODE_OLD_BUILTIN, _CODE_CUSTOM, _CODE_BUILTIN = 0, 1, 3
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OPERATORS = 0, 1, 3
_TENSOR_SHAPE = 0
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_CUSTOM_OPTIONS = 0, 1, 5
# Of flexbuffers.
_FLEX_INT, _FLEX_UINT, _FLEX_MAP = 1, 2, 9

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TfliteFacts:
    """What a .tflite file says of its network.

    Attributes:
        input_shapes: of the network's inputs, batch included.
        custom_operators: that the runtime must have beside the usual ones, by name.
        class_count: of a network that ends in TFLite_Detection_PostProcess, without the background;
            None where it is not known.
    """

    input_shapes: tuple[Shape, ...]
    custom_operators: tuple[str, ...]
    class_count: int | None


def read_facts(model: bytes) -> TfliteFacts | None:
    """The facts of a .tflite file; None of one that is damaged.

    Args:
        model: the file's bytes.
    """
    try:
        root = _Table(model, _unsigned(model, 0))
        custom = [_custom_name(code) for code in root.tables(_MODEL_CODES)]
        graph = next(root.tables(_MODEL_GRAPHS))
        shapes = [tensor.ints(_TENSOR_SHAPE) for tensor in graph.tables(_GRAPH_TENSORS)]
        inputs = tuple(shapes[index] for index in graph.ints(_GRAPH_INPUTS))
        return TfliteFacts(
            input_shapes=inputs,
            custom_operators=tuple(dict.fromkeys(name for name in custom if name)),
            class_count=_class_count(graph, custom, shapes),
        )
    except (struct.error, IndexError, ValueError, StopIteration):
        return None


def _class_count(graph: _Table, custom: list[str], shapes: list[Shape]) -> int | None:
    """The classes of the network's TFLite_Detection_PostProcess.

    Its second input holds the scores, often with a column for the background before the others;
    the operator's option ``num_classes`` counts without it.
    """
    for operator in graph.tables(_GRAPH_OPERATORS):
        if custom[operator.number(_OPERATOR_CODE, "<I")] != POSTPROCESS:
            continue
        columns = shapes[operator.ints(_OPERATOR_INPUTS)[1]][-1]
        said = _flex_number(operator.bytes(_OPERATOR_CUSTOM_OPTIONS), b"num_classes")
        return said if said in {columns, columns - 1} else columns - 1
    return None


def _custom_name(code: _Table) -> str:
    """The name of a custom operator; empty for one of the usual ones."""
    builtin = max(code.number(_CODE_OLD_BUILTIN, "<b"), code.number(_CODE_BUILTIN, "<i"))
    if builtin != _CUSTOM_OPERATOR:
        return ""
    return code.bytes(_CODE_CUSTOM)[:_MAX_NAME].decode("ascii", "replace")


class _Table:
    """A table of a flatbuffer.

    Args:
        data: the whole buffer.
        position: of the table.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._fields = position - _number(data, position, "<i")
        self._size = _number(data, self._fields, "<H")

    def number(self, field: int, kind: str) -> int:
        """A number that lies in the table; 0, the schema's default, where it is left out."""
        at = self._at(field)
        return _number(self._data, at, kind) if at else 0

    def bytes(self, field: int) -> bytes:
        """A string or a vector of bytes."""
        start, length = self._vector(field, 1)
        return self._data[start : start + length]

    def ints(self, field: int) -> Shape:
        """A vector of int32."""
        start, length = self._vector(field, 4)
        return struct.unpack_from(f"<{length}i", self._data, start) if length else ()

    def tables(self, field: int) -> Iterator[_Table]:
        """A vector of tables."""
        start, length = self._vector(field, 4)
        for at in range(start, start + 4 * length, 4):
            yield _Table(self._data, at + _unsigned(self._data, at))

    def _at(self, field: int) -> int:
        """Where a field lies, or 0 where it is left out."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        offset = _number(self._data, self._fields + slot, "<H")
        return self._position + offset if offset else 0

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        at = self._at(field)
        if not at:
            return 0, 0
        start = at + _unsigned(self._data, at)
        length = _unsigned(self._data, start)
        if start + 4 + length * width > len(self._data):
            raise ValueError("a vector reaches beyond the end of the file")
        return start + 4, length


def _number(data: bytes, position: int, kind: str) -> int:
    if position < 0:  # would count from the end
        raise ValueError("an offset points before the beginning of the file")
    return int(struct.unpack_from(kind, data, position)[0])


def _unsigned(data: bytes, position: int) -> int:
    return _number(data, position, "<I")


def _flex_number(options: bytes, wanted: bytes) -> int | None:
    """A whole number of a flexbuffer's map, by its key; None where there is none.

    The last byte is the width of the root, the one before it the type; a map lies behind its
    values as: keys' offset, keys' width, count, values, a type a value.
    """
    try:
        root_width, kind = options[-1], options[-2]
        if kind >> 2 != _FLEX_MAP:
            return None
        width = 1 << (kind & 3)
        at = len(options) - 2 - root_width
        values = at - _flex_unsigned(options, at, root_width)
        count = _flex_unsigned(options, values - width, width)
        keys_at = values - 3 * width
        keys = keys_at - _flex_unsigned(options, keys_at, width)
        keys_width = _flex_unsigned(options, values - 2 * width, width)
        for index in range(min(count, len(options))):
            key_at = keys + index * keys_width
            key = key_at - _flex_unsigned(options, key_at, keys_width)
            if options[key : options.index(b"\0", key)] != wanted:
                continue
            if options[values + count * width + index] >> 2 not in {_FLEX_INT, _FLEX_UINT}:
                return None
            return _flex_unsigned(options, values + index * width, width)
    except (IndexError, ValueError, KeyError, struct.error):
        return None
    return None


def _flex_unsigned(data: bytes, position: int, width: int) -> int:
    return _number(data, position, {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[width])
