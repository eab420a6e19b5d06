"""SinkSet of TFLite_Detection_PostProcess: told apart in any order."""

import itertools

import numpy as np
import pytest

from pi_detector.detector.manifest import OutputsTable
from pi_detector.detector.postprocess import PostprocessDecoder, map_outputs
from pi_detector.detector.tensors import TensorInfo
from pi_detector.errors import BadLabelsError, BadModelError

BOXES = np.asarray([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1, 1], [0, 0, 9, 9]], np.float32)
CLASSES = np.asarray([2, 0, 1], np.float32)
SCORES = np.asarray([0.9, 0.4, 0.0], np.float32)
OP = "TFLite_Detection_PostProcess"


def info(index, name, shape):
    return TensorInfo(index, name, shape, np.dtype(np.float32))


def outputs(names):
    """SinkSet in the order boxes, classes, scores, count."""
    shapes = ((1, 3, 4), (1, 3), (1, 3), (1,))
    return [info(i, name, shape) for i, (name, shape) in enumerate(zip(names, shapes, strict=True))]


class SinkSet:
    """The output tensors of an interpreter."""

    values = (BOXES[None], CLASSES[None], SCORES[None], np.asarray([2], np.float32))

    def tensor(self, index):
        return lambda: self.values[index]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize(
    "names",
    [
        [OP, f"{OP}:1", f"{OP}:2", f"{OP}:3"],
        [f"StatefulPartitionedCall:{n}" for n in (3, 2, 1, 0)],
        ["detection_boxes", "detection_classes", "detection_scores", "num_detections"],
    ],
)
def test_outputs_are_found_in_any_order(names, order):
    listed = outputs(names)
    decoder = PostprocessDecoder(map_outputs([listed[i] for i in order]), [0.3] * 3)
    found = decoder.read(SinkSet())
    assert found.class_index.tolist() == [2, 0]
    np.testing.assert_allclose(found.score, [0.9, 0.4])
    np.testing.assert_allclose(found.xyxy[0], [0.2, 0.1, 0.4, 0.3])


def test_manifest_names_win():
    named = OutputsTable(boxes="b", classes="x", scores="y", count="n")
    roles = map_outputs(outputs(["b", "x", "y", "n"])[::-1], named)
    assert (roles.classes.name, roles.scores.name, roles.certain) == ("x", "y", True)
    with pytest.raises(BadModelError, match="no output 'z'"):
        map_outputs(
            outputs(["b", "x", "y", "n"]),
            OutputsTable(boxes="b", classes="z", scores="y", count="n"),
        )


def test_undecided_until_values_tell():
    # In this model the output listed second holds the scores, the third the classes.
    decoder = PostprocessDecoder(map_outputs(outputs("abcd")), [0.3] * 3)
    zeros, three = np.zeros((1, 3), np.float32), np.asarray([3], np.float32)
    interpreter = SinkSet()
    interpreter.values = (BOXES[None], zeros, zeros, three)
    assert len(decoder.read(interpreter).score) == 0
    interpreter.values = (BOXES[None], SCORES[None], CLASSES[None], three)
    assert decoder.read(interpreter).class_index.tolist() == [2, 0]
    # Decided now: values that tell nothing no longer matter.
    interpreter.values = (BOXES[None], zeros + 1, zeros + 1, three)
    assert decoder.read(interpreter).class_index.tolist() == [1, 1, 1]


def test_neither_output_holds_classes():
    decoder = PostprocessDecoder(map_outputs(outputs("abcd")), [0.3] * 3)
    with pytest.raises(BadModelError, match="whole numbers"):
        decoder.decode(BOXES, SCORES, SCORES, 2)


def test_thresholds_are_by_class():
    decoder = PostprocessDecoder(
        map_outputs(outputs([OP, f"{OP}:1", f"{OP}:2", f"{OP}:3"])), [0.3, 0.3, 0.95]
    )
    assert decoder.read(SinkSet()).class_index.tolist() == [0]


def test_a_class_without_a_label():
    decoder = PostprocessDecoder(
        map_outputs(outputs([OP, f"{OP}:1", f"{OP}:2", f"{OP}:3"])), [0.3, 0.3]
    )
    with pytest.raises(BadLabelsError, match="returned class 2"):
        decoder.read(SinkSet())


def test_a_raw_network_needs_a_manifest():
    raw = [info(0, "l", (1, 100, 6)), info(1, "b", (1, 100, 4))]
    with pytest.raises(BadModelError, match="models import"):
        map_outputs(raw)
