"""Reads facts about a network from a .tflite file, without a runtime.

A .tflite file is a flatbuffer. The few fields needed here are read by hand: its schema's Python
classes come with LiteRT only, and load a second copy of the whole model. All data may be damaged:
each offset is checked, and nothing is read twice or recursively.

Sources: the flatbuffers and flexbuffers internals documents, ``tensorflow/lite/schema.fbs``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from pi_detector.detector.flatbuffer import DAMAGE, Table, read_number, read_unsigned

POSTPROCESS = "TFLite_Detection_PostProcess"

_CUSTOM_OPERATOR = 32
_MAX_NAME = 80
# Numbers of the fields in schema.fbs, in the order in which a table declares them.
_MODEL_CODES, _MODEL_GRAPHS = 1, 2
_CODE_OLD_BUILTIN, _CODE_CUSTOM, _CODE_BUILTIN = 0, 1, 3
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OPERATORS = 0, 1, 3
_TENSOR_SHAPE, _TENSOR_NAME = 0, 3
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPERATOR_CUSTOM_OPTIONS = 0, 1, 2, 5
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
        postprocess_outputs: of TFLite_Detection_PostProcess, by the names of their tensors: boxes,
            classes, scores, count, in the order that the operator has always had; empty without it.
        most_elements: of its largest tensor.
    """

    input_shapes: tuple[Shape, ...]
    custom_operators: tuple[str, ...]
    class_count: int | None
    postprocess_outputs: tuple[str, ...] = ()
    most_elements: int = 0


def read_facts(model: bytes) -> TfliteFacts | None:
    """The facts of a .tflite file; None of one that is damaged.

    Args:
        model: the file's bytes.
    """
    try:
        root = Table(model, read_unsigned(model, 0))
        custom = [_custom_name(code) for code in root.tables(_MODEL_CODES)]
        graph = next(root.tables(_MODEL_GRAPHS))
        tensors = list(graph.tables(_GRAPH_TENSORS))
        shapes = [tensor.ints(_TENSOR_SHAPE) for tensor in tensors]
        postprocess = _postprocess(graph, custom)
        outputs = postprocess.ints(_OPERATOR_OUTPUTS) if postprocess else ()
        return TfliteFacts(
            input_shapes=tuple(shapes[index] for index in graph.ints(_GRAPH_INPUTS)),
            custom_operators=tuple(dict.fromkeys(name for name in custom if name)),
            class_count=_class_count(postprocess, shapes) if postprocess else None,
            postprocess_outputs=tuple(_name_of(tensors[index]) for index in outputs),
            most_elements=max((math.prod(map(abs, shape)) for shape in shapes), default=0),
        )
    except DAMAGE:
        return None


def _postprocess(graph: Table, custom: list[str]) -> Table | None:
    for operator in graph.tables(_GRAPH_OPERATORS):
        if custom[operator.number(_OPERATOR_CODE, "<I")] == POSTPROCESS:
            return operator
    return None


def _class_count(operator: Table, shapes: list[Shape]) -> int:
    """The classes of the network's TFLite_Detection_PostProcess.

    Its second input holds the scores, often with a column for the background before the others;
    the operator's option ``num_classes`` counts without it.
    """
    columns = shapes[operator.ints(_OPERATOR_INPUTS)[1]][-1]
    said = _flex_number(operator.bytes(_OPERATOR_CUSTOM_OPTIONS), b"num_classes")
    return said if said in {columns, columns - 1} else columns - 1


def _name_of(tensor: Table) -> str:
    return tensor.bytes(_TENSOR_NAME).decode("utf-8", "replace")


def _custom_name(code: Table) -> str:
    """The name of a custom operator; empty for one of the usual ones."""
    builtin = max(code.number(_CODE_OLD_BUILTIN, "<b"), code.number(_CODE_BUILTIN, "<i"))
    if builtin != _CUSTOM_OPERATOR:
        return ""
    return code.bytes(_CODE_CUSTOM)[:_MAX_NAME].partition(b"\0")[0].decode("ascii", "replace")


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
    return read_number(data, position, {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[width])
