"""What a foreign network is, by the shapes of its inputs and outputs and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pi_detector.detector.postprocess import map_outputs
from pi_detector.detector.preprocess import is_image, size_of
from pi_detector.detector.tensors import TensorInfo
from pi_detector.detector.tflite_file import TfliteFacts
from pi_detector.detector.tflite_metadata import OwnWords
from pi_detector.detector.yolo import BOX_COLUMNS, END2END_COLUMNS
from pi_detector.errors import BadModelError

WAYS = "docs/models.md lists the models that can be imported"
_EXPORT = "export a detection model, such as yolov8n, with Ultralytics"
# Tasks of Ultralytics beside detection.
_TASKS = {
    "classify": "is a classifier: it says what an image shows, not where",
    "segment": "is a segmentation model (-seg), whose masks are not used here",
    "semantic": "is a segmentation model: it has no boxes",
    "pose": "is a pose model (-pose), whose key points are not used here",
    "obb": "is a model of rotated boxes (-obb), which are not used here",
    "depth": "is a depth model: it has no boxes",
}
# Strides of a YOLO network's feature maps, and how many boxes a cell of them has.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
_ANCHORS = 3
_END2END = "yolo-end2end"
_MOST_END2END = 1000
# A quantized output with larger steps holds boxes in pixels, beside which no score is left.
_LARGEST_STEP = 0.02


@dataclass(frozen=True, slots=True)
class Network:
    """A detection network that a decoder exists for.

    Attributes:
        architecture: see ``decoders``.
        title: its family, for people.
        classes: that it distinguishes; None where it does not say so.
        resize: that it was trained with.
        zero_to_one: a float input counts from 0 to 1, else from -1 to 1.
        outputs: by their role, the names of a postprocess network's.
        output: name of a YOLO network's.
        layout: of that output, see ``yolo.YoloTable``.
    """

    architecture: str
    title: str
    classes: int | None
    resize: Literal["stretch", "letterbox"]
    zero_to_one: bool
    outputs: dict[str, str] = field(default_factory=dict)
    output: str = ""
    layout: Literal["columns", "rows"] = "columns"


def is_planar(image: TensorInfo) -> bool:
    """Whether an image input has its channels first."""
    return not _is_packed(image) and is_image(image, planar=True)


def _is_packed(image: TensorInfo) -> bool:
    return is_image(image, planar=False)


def recognize(
    place: str,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    facts: TfliteFacts,
    own: OwnWords,
) -> Network:
    """What a network is.

    Args:
        place: its path, for messages.
        inputs: of the network.
        outputs: of the network.
        facts: of its file.
        own: what it says of itself.

    Raises:
        BadModelError: it is no detection network that can be decoded; says what it is.
    """
    image = inputs[0] if inputs else None
    if image is None or len(inputs) > 1 or not (_is_packed(image) or is_planar(image)):
        shapes = ", ".join(str(each.shape) for each in inputs)
        raise BadModelError(
            f"{place}: its input {shapes} is not one RGB image; export it with a batch size of 1, "
            "for images of three channels"
        )
    if facts.postprocess_outputs:
        return _postprocess(place, outputs, facts)
    task = own.table.get("task", "detect")
    if isinstance(task, str) and task in _TASKS:
        raise BadModelError(f"{place}: {_TASKS[task]}; {_EXPORT}")
    size = size_of(image, planar=is_planar(image))
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        found = _yolo(outputs[0], size, own)
        if found is not None:
            _check_steps(place, outputs[0], found)
            return found
    raise BadModelError(f"{place}: {_something_else(outputs, size)}")


def _postprocess(place: str, outputs: Sequence[TensorInfo], facts: TfliteFacts) -> Network:
    names = [info.name for info in outputs]
    roles = dict(
        zip(("boxes", "classes", "scores", "count"), facts.postprocess_outputs, strict=False)
    )
    if len(roles) < 4 or any(names.count(name) != 1 for name in roles.values()):
        # Something stands behind the operator, or two outputs share a name.
        known = map_outputs(outputs)
        if not known.certain:
            raise BadModelError(
                f"{place}: which of its outputs are classes and which are scores is not said; "
                "export it again with TFLite_Detection_PostProcess as its last operator"
            )
        infos = (known.boxes, known.classes, known.scores, known.count)
        roles = {role: info.name for role, info in zip(roles, infos, strict=True)}
    return Network(
        "ssd-postprocess",
        "SSD or EfficientDet with TFLite_Detection_PostProcess",
        facts.class_count,
        resize="stretch",
        zero_to_one=False,
        outputs=roles,
    )


def _yolo(info: TensorInfo, size: tuple[int, int], own: OwnWords) -> Network | None:
    """The YOLO network that an output fits, best with what it says of itself; None: none."""
    fitting = list(_yolo_readings(info, size))
    names = own.table.get("names")
    classes = len(names) if isinstance(names, dict | list) else 0
    ends = own.table.get("end2end") is True
    fitting.sort(
        key=lambda each: (
            (each.architecture == _END2END) != ends,
            bool(classes) and each.classes is not None and each.classes != classes,
        )
    )
    return fitting[0] if fitting else None


def _yolo_readings(info: TensorInfo, size: tuple[int, int]) -> Iterator[Network]:
    cells = {_cells(size, strides) for strides in _STRIDES} - {0}
    _, first, second = info.shape
    layouts: tuple[tuple[Literal["columns", "rows"], int, int], ...] = (
        ("columns", first, second),
        ("rows", second, first),
    )
    for layout, columns, boxes in layouts:
        if boxes in cells and columns > BOX_COLUMNS:
            yield _network("yolov8", "YOLOv8 (also v9, v11, v12)", columns - 4, info, layout)
        if boxes in {_ANCHORS * each for each in cells} and columns > BOX_COLUMNS + 1:
            yield _network("yolov5", "YOLOv5 (also v3, v7)", columns - 5, info, layout)
    if second == END2END_COLUMNS and first <= _MOST_END2END:
        yield _network(_END2END, "YOLO with suppression in it (v10, v26)", None, info, "rows")


def _network(
    architecture: str,
    title: str,
    classes: int | None,
    info: TensorInfo,
    layout: Literal["columns", "rows"],
) -> Network:
    return Network(
        architecture,
        title,
        classes,
        resize="letterbox",
        zero_to_one=True,
        output=info.name,
        layout=layout,
    )


def _cells(size: tuple[int, int], strides: Sequence[int]) -> int:
    """Cells of all feature maps; 0 where the input does not fit them."""
    if any(side % max(strides) for side in size):
        return 0
    return sum((size[0] // stride) * (size[1] // stride) for stride in strides)


def _check_steps(place: str, info: TensorInfo, network: Network) -> None:
    if info.quantized and (info.scale > _LARGEST_STEP or network.architecture == _END2END):
        raise BadModelError(
            f"{place}: its quantized output counts in steps of {info.scale:.3g}, because boxes in "
            "pixels and scores share it, and all scores are lost; export it with Ultralytics' "
            "format=litert (or tflite), which scales the boxes, or with float outputs"
        )


def _something_else(outputs: Sequence[TensorInfo], size: tuple[int, int]) -> str:
    """What a network is that cannot be decoded, and the way out."""
    shapes = ", ".join(str(info.shape) for info in outputs) or "of no shape"
    words = ""
    if outputs and all(info.shape and min(info.shape) > 0 for info in outputs):
        words = _one(outputs[0].shape, size) if len(outputs) == 1 else _several(outputs, shapes)
    return words or f"has outputs {shapes}, which no decoder here knows; {WAYS}"


def _one(shape: tuple[int, ...], size: tuple[int, int]) -> str:
    """What a network of one output is; empty: not known."""
    if math.prod(shape) == max(shape) > 1:
        return (
            f"is a classifier ({max(shape)} classes): it says what an image shows, not where; use "
            f"a detection model; {WAYS}"
        )
    if len(shape) == 4 and min(shape[1:3]) * 8 >= min(size):
        return f"is a segmentation model (output {shape}): it has no boxes; {_EXPORT}"
    return ""


def _several(outputs: Sequence[TensorInfo], shapes: str) -> str:
    """What a network of several outputs is; empty: not known."""
    if sorted(len(info.shape) for info in outputs) == [3, 4]:
        return f"is a segmentation model with boxes (outputs {shapes}), not used here; {_EXPORT}"
    if len(outputs) == 2 and any(info.shape[-1] == BOX_COLUMNS for info in outputs):
        return (
            f"is an SSD without its last operator (outputs {shapes}): its anchors are not in it; "
            "export it with TFLite_Detection_PostProcess, or write a manifest with [anchors]"
        )
    if all(len(info.shape) == 4 for info in outputs):
        return (
            f"gives raw feature maps (outputs {shapes}), not boxes; export it with its decoding, "
            "as Ultralytics' format=litert (or tflite) does"
        )
    return ""
