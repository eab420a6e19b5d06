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
