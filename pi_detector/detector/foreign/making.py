"""Makes a bundle of a foreign model."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pi_detector.detector.bundle import MANIFEST_FILE, Bundle, load_bundle, only_model
from pi_detector.detector.detector import Detector
from pi_detector.detector.foreign.names import labels_for
from pi_detector.detector.foreign.network import Network, is_planar, recognize
from pi_detector.detector.foreign.trial import unit_of
from pi_detector.detector.labels_file import LABELS_FILE
from pi_detector.detector.manifest import (
    InputTable,
    Label,
    Manifest,
    ModelTable,
    OutputsTable,
    ScoresTable,
    SuppressionTable,
)
from pi_detector.detector.preprocess import size_of
from pi_detector.detector.refusal import missing_operators
from pi_detector.detector.runtime import Interpreter, open_interpreter, read_model
from pi_detector.detector.tensors import TensorInfo, tensor_info
from pi_detector.detector.tflite_file import read_facts
from pi_detector.detector.tflite_metadata import OwnWords, read_own_words
from pi_detector.errors import BadModelError, SinkError
from pi_detector.util.text import one_line

MIN_SCORE = 0.4
"""Lowest score of a detection by an imported model, unless the user says another."""

_MODEL_FILE = "model.tflite"
_UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user says of a foreign model.

    Attributes:
        labels: labels file; None takes the model's own, or the one beside it.
        any_order: the order of the labels is right, whatever it looks like.
        min_score: lowest score of a detection.
        mean: byte that stands for 0 in a float input; None: as its family has it.
        deviation: bytes to 1 in a float input; None: as its family has it.
        licence: of the weights; empty: as the model says.
    """

    labels: Path | None = None
    any_order: bool = False
    min_score: float = MIN_SCORE
    mean: float | None = None
    deviation: float | None = None
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A bundle that was made.

    Attributes:
        bundle: the bundle.
        network: what the model is.
        labels_place: where its labels are from.
    """

    bundle: Bundle
    network: Network
    labels_place: str


def import_model(path: Path, out: Path, wishes: Wishes = Wishes()) -> Imported:
    """Make a bundle of a foreign model.

    Args:
        path: the .tflite file, or the folder of a download that has one.
        out: folder of the bundle; its name becomes the bundle's.
        wishes: what the user says of the model.

    Raises:
        ModelNotFoundError: there is no such model.
        BadModelError: it is damaged, or no detection model that can be used; says what it is.
        BadLabelsError: the labels do not fit it.
        RuntimeMissingError: no runtime is installed.
        SinkError: the folder exists, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SinkError(f"{out}: exists; name a folder that does not")
    if (path / MANIFEST_FILE).exists():
        raise BadModelError(f"{path}: is a bundle already; use it as it is")
    if path.is_dir():
        path = only_model(path)
    model = read_model(path)
    facts = read_facts(model)
    if facts is None:
        raise BadModelError(f"{path}: damaged or truncated; copy the model again")
    if words := missing_operators(facts.custom_operators):
        raise BadModelError(f"{path}: {words}")
    own = read_own_words(model)
    interpreter = open_interpreter(model, name=str(path))
    try:
        inputs = [tensor_info(each) for each in interpreter.get_input_details()]
        outputs = [tensor_info(each) for each in interpreter.get_output_details()]
    except ValueError as error:  # names that are no text
        raise BadModelError(
            f"{path}: its tensors cannot be read ({error}); export it again"
        ) from error
    network = recognize(str(path), inputs, outputs, facts, own)
    labels, place = labels_for(
        path, own, wishes.labels, network.classes, any_order=wishes.any_order
    )
    decoder = _decoder(str(path), interpreter, network)
    manifest = Manifest(
        model=ModelTable(
            name=one_line(out.resolve().name),
            version="1",
            description=one_line(f"{network.title}, imported from {path.name}"),
            architecture=network.architecture,
            licence=wishes.licence or own.licence or _UNKNOWN_LICENCE,
            sha256=hashlib.sha256(model).hexdigest(),
        ),
        input=_input(str(path), inputs[0], network, own, wishes),
        outputs=msgspec.convert(network.outputs, OutputsTable),
        decoder=decoder,
        scores=ScoresTable(default=wishes.min_score),
        suppression=SuppressionTable(average=not network.output),
        labels=labels,
    )
    _write(out, model, labels, manifest)
    return Imported(load_bundle(out), network, place)


def _decoder(place: str, interpreter: Interpreter, network: Network) -> dict[str, str]:
    if not network.output:
        return {}
    unit = unit_of(place, interpreter, network)
    return {"output": network.output, "layout": network.layout, "unit": unit}


def _input(
    place: str, image: TensorInfo, network: Network, own: OwnWords, wishes: Wishes
) -> InputTable:
    planar = is_planar(image)
    height, width = size_of(image, planar=planar)
    mean, deviation = _coding(place, image, network, own)
    try:
        return msgspec.convert(
            {
                "tensor": image.name,
                "height": height,
                "width": width,
                "dtype": image.dtype.name,
                "layout": "nchw" if planar else "nhwc",
                "resize": network.resize,
                "mean": mean if wishes.mean is None else wishes.mean,
                "deviation": deviation if wishes.deviation is None else wishes.deviation,
            },
            InputTable,
        )
    except msgspec.ValidationError as error:
        raise BadModelError(f"{place}: its input cannot be used: {error}") from error


def _coding(place: str, image: TensorInfo, network: Network, own: OwnWords) -> tuple[float, float]:
    """Mean and deviation of a model's input: a byte stands for (byte - mean) / deviation."""
    if image.quantized and not network.zero_to_one:
        # Of such models a byte is the stored number itself, or 128 more, whatever it stands for.
        return image.zero_point + (128.0 if image.dtype.kind == "i" else 0.0), 1 / image.scale
    if network.zero_to_one:
        return 0.0, 255.0
    if own.mean and own.deviation:
        if len({*own.mean}) > 1 or len({*own.deviation}) > 1:
            raise BadModelError(
                f"{place}: its channels have scales of their own ({own.mean}, {own.deviation}), "
                "which are not supported; export it with one scale for all"
            )
        return own.mean[0], own.deviation[0]
    return 127.5, 127.5


def _run_once(folder: Path) -> None:
    """See that the bundle runs. Raises BadModelError where it does not."""
    detector = Detector(load_bundle(folder))
    detector.detect(np.full((*detector.input_size, 3), 128, np.uint8))


def _write(out: Path, model: bytes, labels: tuple[Label, ...], manifest: Manifest) -> None:
    """Write a bundle whole, or not at all."""
    import tomli_w

    tree = {name: table for name, table in msgspec.to_builtins(manifest).items() if table}
    text = tomli_w.dumps(tree)
    staged: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        (staged / _MODEL_FILE).write_bytes(model)
        (staged / LABELS_FILE).write_text("".join(f"{label.name}\n" for label in labels))
        (staged / MANIFEST_FILE).write_text(text)
        _run_once(staged)
        staged.chmod(0o755)
        staged.rename(out)
    except OSError as error:
        raise SinkError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
