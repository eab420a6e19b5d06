"""Calibration: the ranges of a float network's activations, from photos.

Photos are read one at a time, whatever their number. Three ranges are not left to chance: the
input's, so that the quantized input is the camera's byte minus 128; the logits', which in INT8 are
cut off below a score that no user asks for; and those of the heads' outputs, which are equal across
feature maps so that their concatenation needs no requantization.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import calibrator, qtyping, recipe_manager
from ai_edge_quantizer.utils import qsv_utils
from numpy.typing import NDArray

from deploy.data.dataset import Photo, read_photo, sampling_weights
from deploy.progress import progress
from deploy.quantization.export import INPUT, LOGITS, Graph
from deploy.quantization.layers import layers, source, tensor_name
from deploy.quantization.recipes import Calibration, Recipe
from pi_detector.util.media import IMAGE_SUFFIXES

LOWEST_LOGIT = -7.0
"""A sigmoid of 0.0009: nobody asks for less, so the eight bits are spent above it."""
LOGIT_HEADROOM = 0.5
"""Above the highest calibrated logit: scores that are cut off there would tie."""
THREADS = 2

log = logging.getLogger(__name__)

Ranges = dict[str, qtyping.QSV]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the quantizer's progress bars, which nothing turns off, and its numeric warnings."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


class QuantizationError(ValueError):
    """A model that cannot be quantized as asked."""


def calibration_inputs(
    photos: Sequence[Photo] | Path, size: int, settings: Calibration
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Network inputs of a choice of photos, scaled as the device scales them.

    Args:
        photos: of a data set, from whose sources a balanced choice is drawn; or a folder of
            pictures without annotations, such as frames that a device has collected.
        size: side of the network's input, in pixels.
        settings: how many at most, and the seed of their choice.

    Yields:
        The network's input by its name: (1, size, size, 3) float32 in -1..1.

    Raises:
        QuantizationError: there is no photo.
    """
    if isinstance(photos, Path):
        paths, weights = list_frames(photos), None
    else:
        paths, weights = [photo.path for photo in photos], sampling_weights(tuple(photos))
    if not paths:
        raise QuantizationError(f"{photos}: holds no picture to calibrate with")
    count = min(len(paths), settings.photos)
    if count < settings.photos:
        log.info("calibrating with all %d photos; %d are usual", count, settings.photos)
    rng = np.random.default_rng(settings.seed)
    for index in rng.choice(len(paths), count, replace=False, p=weights):
        image = cv2.resize(read_photo(paths[index]), (size, size))
        yield {INPUT: ((image.astype(np.float32) - 128.0) / 128.0)[None]}


def list_frames(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their names.

    Raises:
        QuantizationError: there is no such folder.
    """
    if not folder.is_dir():
        raise QuantizationError(f"{folder}: no such folder of pictures")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def calibrate(
    model: bytes,
    rules: qtyping.ModelQuantizationRecipe,
    recipe: Recipe,
    inputs: Iterable[dict[str, NDArray[np.float32]]],
) -> Ranges:
    """Ranges of all activations that ``rules`` quantize, by tensor name.

    Args:
        model: a float .tflite file.
        rules: the quantizer's.
        recipe: which method.
        inputs: read once, one at a time.
    """
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(rules)
    moving = recipe.calibration.method == "moving_average"
    update = qsv_utils.moving_average_update if moving else qsv_utils.min_max_update
    with warnings.catch_warnings():
        # That all tensors are kept is what calibration needs.
        warnings.simplefilter("ignore", UserWarning)
        collector = calibrator.Calibrator(model, num_threads=THREADS, qsv_update_func=update)
    for values in progress(inputs, "calibrating", recipe.calibration.photos):
        # One at a time: of a whole data set the collector would make a list, to count it.
        with quiet():
            collector.calibrate({"serving_default": [values]}, manager)
    return collector.get_model_qsvs()


def override_ranges(
    graph: Graph, found: Ranges, given: Mapping[str, tuple[float, float]], names: Mapping[str, str]
) -> set[str]:
    """Put given ranges in the place of found ones.

    Args:
        graph: of the float model, named by ``name_layers``.
        found: changed in place.
        given: lowest and highest value, by layer, or by the tensor's name in the float file.
        names: the tensors' names in the float file to those in ``graph``.

    Returns:
        The tensors whose ranges are given.

    Raises:
        QuantizationError: a name is unknown, or a range is none.
    """
    ranks = {tensor_name(graph, i): len(t.shape) for i, t in enumerate(graph.subgraph.tensors)}
    outputs = {layer.name: tensor_name(graph, layer.output) for layer in layers(graph)}
    changed = set()
    for key, (low, high) in given.items():
        name = outputs.get(key) or names.get(key, key)
        if name not in ranks:
            raise QuantizationError(f"a range is given for {key!r}, which the network has not")
        if not low < high:
            raise QuantizationError(f"the range {low}..{high} given for {key!r} is empty")
        shape = (1,) * ranks[name]
        ends = {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
        found[name] = {**found.get(name, {}), **ends}
        changed.add(name)
    return changed


def fix_ranges(graph: Graph, ranges: Ranges, recipe: Recipe, given: Collection[str] = ()) -> None:
    """Set the ranges that are not left to chance, in place.

    Args:
        graph: of the float model, named by ``name_layers``.
        ranges: by tensor name.
        recipe: INT8 or INT16 activations.
        given: tensors whose range was not found but given. They decide for the layers that share
            it, and have their headroom already.
    """

    def assign(name: str, low: float, high: float) -> None:
        ranges[name]["min"] = np.full_like(ranges[name]["min"], low)
        ranges[name]["max"] = np.full_like(ranges[name]["max"], high)

    image = tensor_name(graph, graph.subgraph.inputs[0])
    if image in ranges:
        # A scale of 1/128 and a zero point of 0: (byte - 128) / 128 over all bytes; INT16 is
        # symmetric and reaches further.
        wide = recipe.activations == "int16"
        assign(image, -1.0, (np.iinfo(np.int16).max if wide else 127) / 128)
    for layer in layers(graph):
        if layer.kind != "CONCATENATION":
            continue
        chain = [n for n in _chain(graph, layer.operator) if n in ranges]
        if not chain:
            continue
        known = [name for name in chain if name in given]
        low = min(float(np.min(ranges[name]["min"])) for name in known or chain)
        high = max(float(np.max(ranges[name]["max"])) for name in known or chain)
        # Sixteen bits have room for all logits.
        if layer.name == LOGITS and recipe.activations == "int8" and not known:
            low, high = max(low, LOWEST_LOGIT), high + LOGIT_HEADROOM
        for name in chain:
            assign(name, low, high)


def _chain(graph: Graph, concatenation: schema.OperatorT) -> list[str]:
    """A concatenation's output and inputs, the latter before and after their RESHAPE."""
    chain = [concatenation.outputs[0]]
    for tensor in concatenation.inputs:
        reshape = graph.producer(source(graph, tensor))
        chain += [reshape.outputs[0], source(graph, reshape.inputs[0])]
    return [tensor_name(graph, tensor) for tensor in chain]
