"""The decoders by the architecture that a model's manifest names.

A new family is a file beside this one with a function like ``make_ssd``, and a line here; or a
package with an entry point in the group ``pi_detector.decoders``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pi_detector.detector.candidates import Candidates, Decoder, DecoderSpec
from pi_detector.detector.postprocess import make_postprocess
from pi_detector.detector.ssd import make_ssd
from pi_detector.detector.tensors import Tensors
from pi_detector.detector.yolo import make_end2end, make_yolov5, make_yolov8
from pi_detector.errors import BadModelError, PiDetectorError, PluginError
from pi_detector.util.plugins import Plugin, find_plugin, installed
from pi_detector.util.suggest import did_you_mean

BARE_ARCHITECTURE = "ssd-postprocess"
"""Of a bare .tflite file, which says nothing of itself."""

DECODERS: Mapping[str, Callable[[DecoderSpec], Decoder]] = {
    "ssd": make_ssd,
    "ssd-postprocess": make_postprocess,
    "yolov5": make_yolov5,
    "yolov8": make_yolov8,
    "yolo-end2end": make_end2end,
    # The name in bundles that were built before there was a choice.
    "ssdlite-mobilenet-v2": make_ssd,
}


def make_decoder(spec: DecoderSpec) -> Decoder:
    """The decoder of a model.

    Raises:
        BadModelError: nobody decodes its architecture, or its outputs are not those of its
            architecture.
        BadLabelsError: the labels do not fit the model.
        PluginError: the plugin that has the decoder fails.
    """
    manifest = spec.manifest
    architecture = BARE_ARCHITECTURE if manifest is None else manifest.model.architecture
    if make := DECODERS.get(architecture):
        return make(spec)
    plugin = find_plugin("decoder", architecture)
    if plugin is None:
        known = [*DECODERS, *(each.name for each in installed("decoder"))]
        fix = did_you_mean(architecture, known, "there are {}, and those of plugins")
        raise BadModelError(
            f"{spec.place}: no decoder for the architecture '{architecture}'; {fix}"
        )
    return _PluginDecoder(plugin, spec)


class _PluginDecoder:
    """A decoder of a plugin, whose mistakes are errors that name it.

    Args:
        plugin: brings a function like ``make_ssd``.
        spec: what the decoder is made from.

    Raises:
        PluginError: the plugin fails.
    """

    def __init__(self, plugin: Plugin, spec: DecoderSpec) -> None:
        self._plugin = plugin
        self._classes = len(spec.min_scores)
        make = plugin.load()
        if not callable(make):
            raise PluginError(f"{plugin}: {plugin.target} is no function; repair it")
        try:
            self._decoder: Decoder = make(spec)
        except PiDetectorError:
            raise
        except Exception as error:
            raise PluginError(f"{plugin}: {plugin.failure(error)}") from error

    def read(self, tensors: Tensors) -> Candidates:
        """See ``Decoder``.

        Raises:
            PluginError: the plugin fails, or gives what no candidates are.
        """
        try:
            found = self._decoder.read(tensors)
            return self._checked(found)
        except PiDetectorError:
            raise
        except Exception as error:
            raise PluginError(f"{self._plugin}: {self._plugin.failure(error)}") from error

    def _checked(self, found: Candidates) -> Candidates:
        xyxy = np.asarray(found.xyxy, np.float32)
        score = np.asarray(found.score, np.float32)
        index = np.asarray(found.class_index, np.int64)
        count = len(score)
        if xyxy.shape != (count, 4) or score.shape != (count,) or index.shape != (count,):
            raise ValueError(
                f"candidates of shapes {xyxy.shape}, {score.shape}, {index.shape}, not (N, 4), "
                "(N,), (N,)"
            )
        if not (np.isfinite(xyxy).all() and np.isfinite(score).all()):
            raise ValueError("candidates that are not finite")
        if count and not (index.min() >= 0 and index.max() < self._classes):
            raise ValueError(f"candidates of a class beyond the {self._classes} labels")
        return Candidates(xyxy, score, index)
