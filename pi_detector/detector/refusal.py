"""Why a model cannot be loaded, and the fix: what the file really is, what the runtime lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pi_detector.detector.tflite_file import POSTPROCESS, read_facts

_EDGE_TPU = "edgetpu-custom-op"
_FLEX = "Flex"
# Beginnings of files that are taken for models. Sources: the formats' own documents.
_BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the model; run 'git lfs pull'",
    b"PK\x03\x04": "is a ZIP archive; unpack it and use its .tflite, or convert the model in it",
    b"\x1f\x8b": "is compressed by gzip; unpack it with 'tar xf' or 'gunzip'",
    b"\x89HDF": "is a Keras model (HDF5); convert it to TFLite",
    b"\x08": "is not a .tflite file, perhaps ONNX or a frozen graph; convert it to TFLite",
}
_PAGE = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)
_NEWER_OPERATOR = re.compile(r"builtin opcode '(\w+)' version '(\d+)'")
_UNKNOWN_OPERATOR = re.compile(r"builtin_code out of range: (\d+)")
_UPGRADE = "upgrade that package, or convert the model with an older TensorFlow"
_LONGEST = 160


def what_it_is(data: bytes) -> str:
    """What a file without the identifier of .tflite is, and what to do."""
    if not data:
        return "is empty; copy the model again"
    if _PAGE.match(data[:200]):
        return "is a web page, not the model; download the file itself ('Raw', 'Download')"
    for beginning, words in _BEGINNINGS.items():
        if data.startswith(beginning):
            return words
    return "is not a .tflite file; use a model converted to TFLite"


def why_not(model: bytes, package: str, reason: str) -> str:
    """Why a runtime does not load a .tflite file, and what to do.

    Args:
        model: the file's bytes.
        package: of the runtime.
        reason: the runtime's own words.
    """
    first = " ".join(reason.split())[:_LONGEST]
    facts = read_facts(model)
    if facts is None:
        return (
            f"{package} cannot load it because it is damaged or truncated ({first}); copy it again"
        )
    words = _operators(facts.custom_operators, package, reason)
    if words:
        return words
    batches = [shape[0] for shape in facts.input_shapes if len(shape) == 4 and shape[0] > 1]
    if batches:
        return f"takes {batches[0]} images at once; export it with a batch size of 1"
    return f"{package} cannot load it; it may be damaged ({first}); copy it again"


def missing_operators(operators: Sequence[str]) -> str:
    """What no runtime here has of a network, and what to do; empty where it has all of it.

    Args:
        operators: custom operators of the network.
    """
    if _EDGE_TPU in operators:
        return (
            "is compiled for a Coral Edge TPU, which is not supported; use the same model for the "
            "CPU (its file without '_edgetpu')"
        )
    if flex := [name for name in operators if name.startswith(_FLEX)]:
        return (
            f"needs TensorFlow's own operators ({', '.join(flex)}), which no runtime here has; "
            "convert it with TFLITE_BUILTINS alone, without SELECT_TF_OPS"
        )
    return ""


def _operators(operators: Sequence[str], package: str, reason: str) -> str:
    """What the runtime lacks, and what to do; empty where it is something else."""
    if words := missing_operators(operators):
        return words
    if newer := _NEWER_OPERATOR.search(reason):
        what = f"its {newer[1]} is of version {newer[2]}"
        return f"is newer than {package} ({what}); {_UPGRADE}"
    if unknown := _UNKNOWN_OPERATOR.search(reason):
        return f"is newer than {package} ({unknown[0]}); {_UPGRADE}"
    strange = [name for name in operators if name != POSTPROCESS]
    if strange and "custom op" in reason:
        return (
            f"needs the custom operator {', '.join(strange)}, which {package} does not have; "
            "export the model without it"
        )
    return ""
