"""One run of a foreign network: in which unit its boxes are, and whether its numbers make sense."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pi_detector.detector.foreign.network import Network, is_planar
from pi_detector.detector.preprocess import size_of
from pi_detector.detector.runtime import Interpreter
from pi_detector.detector.tensors import TensorInfo, tensor_info
from pi_detector.detector.yolo import BOX_COLUMNS
from pi_detector.errors import BadModelError

# Boxes in 0..1 of the input reach little beyond it, boxes in pixels far.
_PIXELS_FROM = 2.5
_HIGHEST_SCORE = 1.05


def unit_of(place: str, interpreter: Interpreter, network: Network) -> Literal["input", "pixels"]:
    """The unit of a YOLO network's boxes; runs it once, on noise.

    The cells of such a network cover the whole input, whatever the image shows: so the largest
    coordinate is near 1, or near the input's side.

    Raises:
        BadModelError: its scores or boxes are none.
    """
    image = tensor_info(interpreter.get_input_details()[0])
    _fill(interpreter, image)
    try:
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadModelError(f"{place}: does not run ({reason}); export it again") from error
    info = next(
        each
        for each in map(tensor_info, interpreter.get_output_details())
        if each.name == network.output
    )
    stored = interpreter.tensor(info.index)()[0].copy()
    columns = info.dequantize(stored if network.layout == "columns" else stored.T)
    scores = columns[4] if network.architecture == "yolo-end2end" else columns[BOX_COLUMNS:]
    if not np.isfinite(columns).all():
        raise BadModelError(f"{place}: gives numbers that are not finite; export it again")
    if scores.min() < 1 - _HIGHEST_SCORE or scores.max() > _HIGHEST_SCORE:
        raise BadModelError(
            f"{place}: its scores range from {scores.min():.3g} to {scores.max():.3g}, not within "
            "0 and 1; export it with the sigmoid of its head"
        )
    return _unit(place, columns[:BOX_COLUMNS], size_of(image, planar=is_planar(image)), network)


def _unit(
    place: str, boxes: NDArray[np.float32], size: tuple[int, int], network: Network
) -> Literal["input", "pixels"]:
    if network.architecture == "yolo-end2end":  # only the best boxes, wherever they are
        return "pixels" if boxes.max() > _PIXELS_FROM else "input"
    height, width = size
    reach = (float(boxes[0].max()), float(boxes[1].max()))
    if max(reach) <= _PIXELS_FROM:
        unit: Literal["input", "pixels"] = "input"
        share = reach
    else:
        unit, share = "pixels", (reach[0] / width, reach[1] / height)
    if min(share) < 0.5 or max(share) > 1.5:
        raise BadModelError(
            f"{place}: its boxes reach to {reach[0]:.3g}, {reach[1]:.3g}, neither the whole input "
            "nor its pixels; export it with its boxes decoded, as Ultralytics does"
        )
    return unit


def _fill(interpreter: Interpreter, image: TensorInfo) -> None:
    """Noise, the same each time, as the network's input."""
    noise = np.random.default_rng(1).integers(0, 256, image.shape)
    view = interpreter.tensor(image.index)()
    if image.dtype.kind == "f":
        view[:] = noise / 255
    else:
        view[:] = (noise - (128 if image.dtype == np.int8 else 0)).astype(image.dtype)
