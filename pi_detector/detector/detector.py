"""The detector: takes a frame, returns its detections."""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from pi_detector.config.settings import DetectionSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.detector.bundle import Bundle, find_model
from pi_detector.detector.candidates import Candidates, DecoderSpec
from pi_detector.detector.decoders import make_decoder
from pi_detector.detector.images import read_image
from pi_detector.detector.looking import Tiles, decode_looks, infer_looks, tiles_for
from pi_detector.detector.nms import suppress, vote
from pi_detector.detector.preprocess import InputCoding, input_of, size_of
from pi_detector.detector.resize import RESIZES, Size, Stretch
from pi_detector.detector.runtime import choose_runtime, open_interpreter, thread_count
from pi_detector.detector.tensors import OutputCopies, tensor_info
from pi_detector.detector.thresholds import lowest_scores
from pi_detector.errors import BadModelError


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame, ready for a model.

    Attributes:
        frame: the frame.
        staged: (h, w, 3) uint8 RGB at the model's size.
        preprocess_ms: what the scaling cost.
        detector: the detector that it was scaled for.
    """

    frame: Frame
    staged: ImageArray
    preprocess_ms: float
    detector: Detector

    @property
    def content(self) -> ImageArray:
        """The part of ``staged`` that shows the frame: all of it, but for a letterbox's bars."""
        return self.detector.resize.content(self.staged, (self.frame.height, self.frame.width))


class Detector:
    """A running model: takes images, returns detections.

    The pipeline uses its three parts, each on its own thread, one thread at a time: ``prepare``,
    ``infer`` and ``decode``; ``run`` does the last two.

    Attributes:
        name: name of the model.
        input_size: (height, width) of the model's input.
        camera_size: what a camera may scale frames to, see ``Resize``.
        resize: how frames get the size of the input, and boxes back.
        labels: class id to label.
        runtime: `litert` or `tflite`.
        threads: interpreter threads.
        min_scores: class id to the lowest score of a published detection.
        iou_threshold: overlap above which two boxes of one class count as one object.

    Example:
        >>> import numpy as np
        >>> detector = Detector("street")
        >>> len(detector.detect(np.zeros((480, 640, 3), np.uint8)))
        0
    """

    def __init__(
        self,
        model: str | PathLike[str] | Bundle = "",
        *,
        labels: str | PathLike[str] = "",
        runtime: Literal["auto", "litert", "tflite"] = "auto",
        threads: int = 0,
        min_score: float | None = None,
        detection: DetectionSettings | None = None,
        low_score_share: float = 1.0,
    ) -> None:
        """Load the model and set up its thresholds.

        Args:
            model: name of an installed bundle, a bundle's folder, a bare `.tflite`, or the result
                of ``load_model``; empty = the default model.
            labels: labels file of a bare `.tflite`.
            runtime: `auto` = LiteRT if it is installed, else tflite-runtime.
            threads: interpreter threads; 0 = one per core, at most 4.
            min_score: lowest score of a detection; None = the model's own thresholds.
            detection: all settings of detections; overrides ``min_score``.
            low_score_share: also return detections down to this share of the lowest score, for a
                tracker; the publisher filters them by ``min_scores``.

        Raises:
            RuntimeMissingError: no runtime is installed.
            ModelNotFoundError: the model does not exist.
            BadModelError: the model cannot be run, or differs from its manifest.
            BadLabelsError: the labels do not fit the model.
            ConfigError: a label in the settings is unknown to the model.
        """
        bundle = model if isinstance(model, Bundle) else find_model(model, labels)
        detection = detection or DetectionSettings(min_score=min_score)
        published = lowest_scores(bundle, detection)
        min_scores = [low_score_share * s if s <= 1 else s for s in published]
        self.min_scores = {
            label.id: score for label, score in zip(bundle.labels, published, strict=True)
        }
        self.name = bundle.name
        self.labels = {label.id: label.name for label in bundle.labels}
        self.runtime = choose_runtime(runtime)
        self.threads = thread_count(threads)
        self._interpreter = open_interpreter(
            bundle.model,
            self.runtime,
            self.threads,
            name=str(bundle.path),
            trusted=bundle.manifest is not None,
        )
        self._input = input_of(bundle, self._interpreter.get_input_details())
        table = bundle.manifest.input if bundle.manifest else None
        planar = table is not None and table.layout == "nchw"
        self.input_size: Size = size_of(self._input, planar=planar)
        self.resize = (
            RESIZES[table.resize](self.input_size, table.padding)
            if table
            else Stretch(self.input_size)
        )
        self.camera_size = self.resize.camera_size
        self._coding = InputCoding(
            self._input,
            table.mean if table else None,
            table.deviation if table else None,
            planar=planar,
        )
        details = self._interpreter.get_output_details()
        self._outputs = [tensor_info(each) for each in details]
        self._decoder = make_decoder(
            DecoderSpec(str(bundle.path), self._outputs, min_scores, bundle.manifest)
        )
        self._ids = np.asarray([label.id for label in bundle.labels], np.int64)
        self._averages = bundle.manifest is None or bundle.manifest.suppression.average
        self.iou_threshold = detection.iou_threshold
        self._max_detections = detection.max_detections

    def detect(
        self, image: Frame | ImageArray | str | PathLike[str], tiles: Tiles | None = None
    ) -> Detections:
        """Find the objects of an image.

        Args:
            image: a frame, (H, W, 3) uint8 RGB, or the path of an image file.
            tiles: also look at tiles of the image, for small objects: `2x2`, `3x3`, or `auto` as
                many as its size asks for; None looks at the whole alone.

        Returns:
            The detections, best first, in pixels of the image and inside it.

        Raises:
            BadImageError: the file is no image.
            ValueError: the array is no RGB image, or ``tiles`` is none of the three.
            BadModelError: the runtime failed.
        """
        pixels, scaled = _pixels_of(image)
        staged = self.resize.stage(pixels, scaled)
        size = (pixels.shape[1], pixels.shape[0])
        looks = tiles_for(tiles, size, self.input_size) if tiles else ()
        if len(looks) < 2:
            return self.decode(self.infer(staged)[0], *size)[0]
        outputs, _, _ = infer_looks(self, pixels, looks, staged)
        return decode_looks(self, outputs, looks, size)[0]

    def prepare(self, frame: Frame) -> Prepared:
        """Scale a frame to the model's size."""
        started = time.perf_counter()
        staged = self.resize.stage(frame.image, frame.model_input)
        return Prepared(frame, staged, _ms_since(started), self)

    def run(self, prepared: Prepared) -> tuple[Detections, float, float]:
        """Find the objects of a frame, and what that took.

        Returns:
            The detections, best first, in pixels of the frame and inside it; the milliseconds that
            ``invoke()`` took, input included; the milliseconds that decoding took.

        Raises:
            BadModelError: the runtime failed.
            BadLabelsError: the model gave a class that has no label.
        """
        outputs, invoke_ms = self.infer(prepared.staged)
        detections, decode_ms = self.decode(outputs, prepared.frame.width, prepared.frame.height)
        return detections, invoke_ms, decode_ms

    def infer(self, staged: ImageArray) -> tuple[OutputCopies, float]:
        """Run the model on an image.

        Args:
            staged: (h, w, 3) uint8 RGB at the model's size.

        Returns:
            The model's outputs, and the milliseconds that ``invoke()`` took, input included.

        Raises:
            BadModelError: the runtime failed.
        """
        started = time.perf_counter()
        # No view of a tensor may live while the interpreter runs.
        self._coding.fill(staged, self._interpreter.tensor(self._input.index)())
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BadModelError(f"model {self.name!r}: invoke failed ({reason})") from error
        invoke_ms = _ms_since(started)
        return OutputCopies(self._interpreter, self._outputs), invoke_ms

    def decode(self, outputs: OutputCopies, width: int, height: int) -> tuple[Detections, float]:
        """Find the objects in the model's outputs.

        Args:
            outputs: of ``infer``.
            width: of the image that was scaled to the model's size, in pixels.
            height: of the same image, in pixels.

        Returns:
            The detections, best first, in pixels of that image and inside it; the milliseconds
            that finding them took.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        started = time.perf_counter()
        found = self.survivors(outputs, width, height)
        return self.detections_of(found, width, height), _ms_since(started)

    def survivors(self, outputs: OutputCopies, width: int, height: int) -> Candidates:
        """The boxes in the model's outputs that suppression leaves, best first.

        Args:
            outputs: of ``infer``.
            width: of the image that was scaled to the model's size, in pixels.
            height: of the same image, in pixels.

        Returns:
            Boxes in pixels of that image; they may reach beyond it.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        found = self._decoder.read(outputs)
        keep = suppress(found.xyxy, found.score, found.class_index, self.iou_threshold)
        keep = keep[: self._max_detections]
        boxes = found.xyxy[keep]
        if self._averages:
            boxes = vote(found.xyxy, found.score, found.class_index, keep)
        xyxy = self.resize.to_frame(boxes, (height, width))
        return Candidates(xyxy, found.score[keep], found.class_index[keep])

    def detections_of(self, found: Candidates, width: int, height: int) -> Detections:
        """Boxes in pixels of an image of this size, as detections inside it."""
        found = found[np.arange(len(found)) < self._max_detections]
        limits = np.asarray([width, height] * 2, np.float32)
        # What lies in the bars of a letterbox, or beside the frame, is cut down to nothing.
        xyxy = np.clip(found.xyxy, 0, limits)
        left = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))
        found, xyxy = found[left], xyxy[left]
        ids = self._ids[found.class_index]
        return Detections(xyxy, found.score, ids, labels=self.labels)


def _pixels_of(
    image: Frame | ImageArray | str | PathLike[str],
) -> tuple[ImageArray, ImageArray | None]:
    """(H, W, 3) uint8 RGB, and the same as the camera scaled it, where it did."""
    if isinstance(image, Frame):
        return image.image, image.model_input
    return (_checked(image) if isinstance(image, np.ndarray) else read_image(Path(image))), None


def _checked(image: ImageArray) -> ImageArray:
    """An array that is an RGB image. Raises ValueError where it is not."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"image: {image.shape} {image.dtype} is not an RGB image; use (height, width, 3) uint8"
        )
    return np.ascontiguousarray(image)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
