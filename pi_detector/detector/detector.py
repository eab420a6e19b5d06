"""The detector: frame in, detections out."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pi_detector.config.settings import DetectionSettings, ModelSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.candidates import Candidates, Decoder
from pi_detector.detector.nms import suppress, vote
from pi_detector.detector.postprocess import PostprocessDecoder, map_outputs
from pi_detector.detector.preprocess import InputCoding, staged_input
from pi_detector.detector.runtime import (
    OutputCopies,
    TensorInfo,
    choose_runtime,
    open_interpreter,
    tensor_info,
    thread_count,
)
from pi_detector.detector.ssd import SsdDecoder
from pi_detector.errors import BadModelError, ConfigError

NEVER = 2.0
"""A lowest score that no detection reaches: of labels that are not asked for."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame, ready for the model.

    Attributes:
        frame: the frame.
        staged: (h, w, 3) uint8 RGB at the model's size.
        preprocess_ms: what the scaling cost.
    """

    frame: Frame
    staged: ImageArray
    preprocess_ms: float


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the model said about a frame, as it is stored.

    Attributes:
        frame: the frame.
        outputs: of the model.
        invoke_ms: what ``invoke()`` took, input included.
    """

    frame: Frame
    outputs: OutputCopies
    invoke_ms: float


class Detector:
    """A model that runs.

    ``prepare``, ``infer`` and ``decode`` may each run on a thread of its own; each is for one
    thread at a time. ``detect`` is the last two.

    Attributes:
        name: of the model.
        input_size: (height, width) of the model's input.
        labels: class id to label.
        runtime: `litert` or `tflite`.
        threads: of the interpreter.
        min_scores: class id to the lowest score of a detection that is to be published.

    Example:
        >>> model = ModelSettings()
        >>> detector = Detector(load_model(model), model, DetectionSettings())
        >>> detections, invoke_ms, decode_ms = detector.detect(detector.prepare(frame))
    """

    def __init__(
        self,
        bundle: Bundle,
        model: ModelSettings,
        detection: DetectionSettings,
        *,
        low_score_share: float = 1.0,
    ) -> None:
        """Load the model and work out its thresholds.

        Args:
            bundle: the model.
            model: how it runs.
            detection: what counts as a detection.
            low_score_share: also give detections down to this share of the lowest score, for a
                tracker; whoever publishes sorts them out by ``min_scores``.

        Raises:
            RuntimeMissingError: no runtime is installed.
            BadModelError: the model cannot be run, or is not what its manifest says.
            BadLabelsError: the labels do not fit the model.
            ConfigError: a label in the settings is unknown to the model.
        """
        import cv2

        # The cores belong to the interpreter: OpenCV's pool would only push its threads aside.
        cv2.setNumThreads(1)
        published = lowest_scores(bundle, detection)
        min_scores = [low_score_share * s if s <= 1 else s for s in published]
        self.min_scores = {
            label.id: score for label, score in zip(bundle.labels, published, strict=True)
        }
        self.name = bundle.name
        self.labels = {label.id: label.name for label in bundle.labels}
        self.runtime = choose_runtime(model.runtime)
        self.threads = thread_count(model.threads)
        self._interpreter = open_interpreter(
            bundle.model,
            self.runtime,
            self.threads,
            name=str(bundle.path),
            trusted=bundle.manifest is not None,
        )
        self._input = _input_of(bundle, self._interpreter.get_input_details())
        self.input_size: tuple[int, int] = (self._input.shape[1], self._input.shape[2])
        table = bundle.manifest.input if bundle.manifest else None
        self._coding = InputCoding(
            self._input, table.mean if table else None, table.deviation if table else None
        )
        details = self._interpreter.get_output_details()
        self._outputs = [tensor_info(each) for each in details]
        self._decoder = _decoder_of(bundle, self._outputs, min_scores)
        self._ids = np.asarray([label.id for label in bundle.labels], np.int64)
        self._iou_threshold = detection.iou_threshold
        self._max_detections = detection.max_detections

    def prepare(self, frame: Frame) -> Prepared:
        """Scale a frame to the model's size."""
        started = time.perf_counter()
        staged = staged_input(frame, self.input_size)
        return Prepared(frame, staged, _ms_since(started))

    def detect(self, prepared: Prepared) -> tuple[Detections, float, float]:
        """Find the objects of a frame.

        Returns:
            The detections, best first, in pixels of the frame and inside it; the milliseconds that
            ``invoke()`` took, input included; the milliseconds that decoding took.

        Raises:
            BadModelError: the runtime failed.
            BadLabelsError: the model gave a class that has no label.
        """
        inferred = self.infer(prepared)
        detections, decode_ms = self.decode(inferred)
        return detections, inferred.invoke_ms, decode_ms

    def infer(self, prepared: Prepared) -> Inferred:
        """Run the model on a frame. Raises BadModelError if the runtime fails."""
        started = time.perf_counter()
        # No view of a tensor may live while the interpreter runs.
        self._coding.fill(prepared.staged, self._interpreter.tensor(self._input.index)())
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BadModelError(f"model {self.name!r}: invoke failed ({reason})") from error
        invoke_ms = _ms_since(started)
        return Inferred(prepared.frame, OutputCopies(self._interpreter, self._outputs), invoke_ms)

    def decode(self, inferred: Inferred) -> tuple[Detections, float]:
        """The objects in what the model said, and the milliseconds that finding them took.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        started = time.perf_counter()
        candidates = self._decoder.read(inferred.outputs)
        detections = self._detections(candidates, inferred.frame)
        return detections, _ms_since(started)

    def _detections(self, found: Candidates, frame: Frame) -> Detections:
        keep = suppress(found.xyxy, found.score, found.class_index, self._iou_threshold)
        keep = keep[: self._max_detections]
        voted = vote(found.xyxy, found.score, found.class_index, keep)
        limits = np.asarray([frame.width, frame.height] * 2, np.float32)
        xyxy = np.clip(voted * limits, 0, limits)
        return Detections(xyxy, found.score[keep], self._ids[found.class_index[keep]])


def lowest_scores(bundle: Bundle, detection: DetectionSettings) -> list[float]:
    """The lowest score of a detection by class: the model's, unless the settings say otherwise.

    Raises:
        ConfigError: a label in the settings is unknown to the model.
    """
    names = [label.name for label in bundle.labels]
    _check_labels("detection.labels", detection.labels, names)
    _check_labels("detection.min_scores", detection.min_scores, names)
    scores = bundle.default_scores()
    if detection.min_score is not None:
        scores = dict.fromkeys(names, detection.min_score)
    scores |= detection.min_scores
    return [
        scores[name] if not detection.labels or name in detection.labels else NEVER
        for name in names
    ]


def _check_labels(key: str, given: Iterable[str], names: Sequence[str]) -> None:
    for label in given:
        if label not in names:
            near = difflib.get_close_matches(label, names, n=1, cutoff=0.5)
            known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            fix = f"did you mean {near[0]!r}?" if near else f"the model knows {known}"
            raise ConfigError(f"{key}: the model has no label {label!r}; {fix}")


def _input_of(bundle: Bundle, details: Sequence[dict[str, object]]) -> TensorInfo:
    """The image input of a model, checked against its manifest."""
    inputs = [tensor_info(d) for d in details]
    info = inputs[0]
    if len(inputs) != 1 or len(info.shape) != 4 or info.shape[0] != 1 or info.shape[3] != 3:
        shapes = ", ".join(str(i.shape) for i in inputs)
        raise BadModelError(
            f"{bundle.path}: takes {shapes}, not one RGB image (1, height, width, 3); give a "
            "detection model"
        )
    if bundle.manifest is not None:
        said = bundle.manifest.input
        actual = (info.name, info.shape[1], info.shape[2], info.dtype.name)
        if actual != (said.tensor, said.height, said.width, said.dtype):
            raise BadModelError(
                f"{bundle.path}: the model's input {actual} is not the manifest's; reinstall the "
                "model"
            )
    return info


def _decoder_of(
    bundle: Bundle, outputs: Sequence[TensorInfo], min_scores: Sequence[float]
) -> Decoder:
    """The decoder that fits a model's outputs."""
    manifest = bundle.manifest
    spec = manifest.anchor_spec() if manifest else None
    if manifest is None or spec is None:
        return PostprocessDecoder(
            map_outputs(outputs, manifest.outputs if manifest else None), min_scores
        )
    by_name = {info.name: info for info in outputs}
    logits, boxes = str(manifest.outputs.logits), manifest.outputs.boxes
    for name in (logits, boxes):
        if name not in by_name:
            raise BadModelError(
                f"{bundle.path}: the model has no output {name!r}, which its manifest names; "
                "reinstall the model"
            )
    return SsdDecoder(spec, by_name[logits], by_name[boxes], min_scores)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
