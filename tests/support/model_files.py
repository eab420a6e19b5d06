"""Models made from a real one, changed where it matters: by the schema's classes, of LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def changed(model: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """A .tflite file whose network was changed.

    Args:
        model: the file's bytes.
        change: gets the model and the module of its schema.
    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    change(tree, schema)
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def reshaping_model(side: int, shape: tuple[int, ...]) -> bytes:
    """A .tflite file that gives its input, (1, side, side, 3) float32, in another shape.

    Its input is named `image`, its output `boxes`.
    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    import numpy as np

    def tensor(name: str, shape: tuple[int, ...], kind: int, buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), kind, buffer
        return made

    types = schema.TensorType
    code, operator, graph, model = (
        schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT(),
    )  # fmt: skip
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    graph.tensors = [
        tensor("image", (1, side, side, 3), types.FLOAT32, 0),
        tensor("shape", (len(shape),), types.INT32, 1),
        tensor("boxes", shape, types.FLOAT32, 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    empty, sizes = schema.BufferT(), schema.BufferT()
    sizes.data = np.frombuffer(np.asarray(shape, np.int32).tobytes(), np.uint8)
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], [empty, sizes]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def constant_model(
    shape: tuple[int, ...],
    outputs: dict[str, Any],
    *,
    kind: str = "FLOAT32",
    coding: tuple[float, int] | None = None,
) -> bytes:
    """A .tflite file that gives the same outputs whatever its input `image` is.

    Args:
        shape: of the input.
        outputs: array by name.
        kind: of the input, as the schema names it.
        coding: scale and zero point of all that is not float.
    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    import numpy as np

    def tensor(name: str, shape: tuple[int, ...], kind: str, buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name.encode(), list(shape), buffer
        made.type = getattr(schema.TensorType, kind)
        if coding and kind != "FLOAT32":
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [coding[0]], [coding[1]]
        return made

    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, model.buffers = [tensor("image", shape, kind, 0)], [schema.BufferT()]
    for name, array in outputs.items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        model.buffers.append(buffer)
        kind = array.dtype.name.upper()
        graph.tensors.append(tensor(name, array.shape, kind, len(model.buffers) - 1))
    graph.inputs, graph.operators = [0], []
    graph.outputs = list(range(1, len(graph.tensors)))
    model.version, model.operatorCodes, model.subgraphs = 3, [], [graph]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_files(model: bytes, **files: str) -> bytes:
    """A model with files in an archive at its end: `metadata_json="{}"` is `metadata.json`."""
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in files.items():
            packed.writestr(".".join(name.rsplit("_", 1)), text)
    return model + archive.getvalue()
