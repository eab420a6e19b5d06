"""The bundled model with a manifest that asks for a letterbox."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from pi_detector import Detector, Frame
from pi_detector.bench.frames import load_frames
from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import find_bundles
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.sources.demo import load_photograph


def street(tmp_path, resize, **options):
    source = next(path for path in find_bundles() if path.name == "street")
    folder = shutil.copytree(source, tmp_path / resize)
    manifest = folder / "manifest.toml"
    text = manifest.read_text()
    assert 'resize = "stretch"' in text
    manifest.write_text(text.replace('resize = "stretch"', f'resize = "{resize}"\npadding = 114'))
    return Detector(folder, threads=1, **options)


@pytest.mark.parametrize("size", [(640, 480), (360, 480)])
def test_finds_what_the_same_frame_with_bars_drawn_by_hand_holds(tmp_path, size):
    (image, *_) = load_frames("", size)
    height, width = image.shape[:2]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    square = np.full((side, side, 3), 114, np.uint8)
    square[top : top + height, left : left + width] = image
    by_hand = street(tmp_path, "stretch").detect(square)
    found = street(tmp_path, "letterbox").detect(image)
    assert "person" in found.label
    assert found.label == by_hand.label
    moved = by_hand.xyxy - np.asarray([left, top] * 2, np.float32)
    moved = np.clip(moved, 0, [width, height] * 2).astype(np.float32)
    assert (np.diag(pairwise_iou(found.xyxy, moved)) > 0.9).all()


def test_boxes_lie_in_the_frame_and_have_an_extent(tmp_path):
    detector = street(tmp_path, "letterbox", min_score=0.01)
    image = np.random.default_rng(1).integers(0, 256, (100, 700, 3), np.uint8)
    found = detector.detect(image)
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2:] <= [700, 100]).all()
    assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()


@pytest.mark.parametrize(("resize", "shape"), [("letterbox", (162, 288)), ("stretch", (288, 288))])
def test_the_motion_gate_sees_the_frame_without_bars(tmp_path, resize, shape):
    class Gate:
        enabled = True

        def observe(self, image, now_ns):
            self.shape, self.infer = image.shape[:2], False
            return self

    gate, detector = Gate(), street(tmp_path, resize)
    frame = Frame(np.zeros((360, 640, 3), np.uint8), 0, 1, datetime.now(UTC), "test")
    InferenceStep(detector, gate).run(frame)
    assert gate.shape == shape


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_tiles_come_back_to_the_frame_from_either_way_to_scale(tmp_path, resize):
    """A tile of another shape than the input has bars of its own in a letterbox."""
    detector = street(tmp_path, resize)
    image = np.full((500, 1200, 3), 140, np.uint8)
    photograph = load_photograph()
    image[20:450, 700:990] = photograph[60:490, 90:380]
    found = detector.detect(image, tiles="2x2")
    x1, y1, x2, y2 = found.xyxy[0]
    assert 680 <= x1 < x2 <= 1010
    assert 0 <= y1 < y2 <= 470
    assert x2 - x1 > 150
