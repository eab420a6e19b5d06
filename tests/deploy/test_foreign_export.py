"""A network with YOLO's head, exported as Ultralytics does it, imported, and run on images.

The network finds red and blue squares, and its boxes depend on each pixel: so a wrong order of
channels, letterbox or coding of the input shows.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from yolo_heads import STRIDES, by_formula, cells

from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.detector import Detector
from pi_detector.detector.foreign.making import Wishes, import_model

torch = pytest.importorskip("torch")
litert_torch = pytest.importorskip("litert_torch")

WIDTH, HEIGHT = 160, 128
FRAME = (400, 240)
LOWEST = 0.4


class Squares(torch.nn.Module):  # type: ignore[misc, name-defined]
    """(1, 3, h, w) in 0..1 to (1, 4 + 2, N) in 0..1 of the input: red squares, blue ones."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = torch.nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            weight = torch.tensor([[9.0, -6.0, -6.0], [-6.0, -6.0, 9.0]])
            self.colours.weight.copy_(weight[:, :, None, None])
            self.colours.bias.fill_(-4.0)
        grid = torch.from_numpy(cells(WIDTH, HEIGHT))
        sides = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])[:, None]
        boxes = torch.cat([grid[:, :2], grid[:, 2:] * 2, grid[:, 2:] * 2.5], 1).T / sides
        self.register_buffer("boxes", boxes[None])

    def forward(self, image: Any) -> Any:
        logits = self.colours(image)
        maps = [torch.nn.functional.avg_pool2d(logits, stride).flatten(2) for stride in STRIDES]
        scores = torch.cat(maps, 2).sigmoid()
        # The boxes move with the image, a little.
        return torch.cat([self.boxes + 0.02 * (scores[:, :1] - scores[:, 1:]), scores], 1)


def squares() -> np.ndarray:
    """A frame with two squares, RGB."""
    image = np.full((FRAME[1], FRAME[0], 3), 60, np.uint8)
    image[60:140, 40:120] = (250, 10, 20)
    image[110:210, 250:340] = (20, 15, 240)
    return image


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network as .tflite: float and int8, channels first and last, inputs float and int8."""
    from ai_edge_quantizer import qtyping, quantizer, recipe

    folder = tmp_path_factory.mktemp("exported")
    network = Squares().eval()
    last = litert_torch.to_channel_last_io(network, args=[0])
    example = torch.zeros(1, 3, HEIGHT, WIDTH)
    made = {"first": folder / "first.tflite", "last": folder / "last.tflite"}
    litert_torch.convert(network, (example,)).export(made["first"])
    litert_torch.convert(last.eval(), (example.permute(0, 2, 3, 1),)).export(made["last"])
    image = letterboxed(squares()).astype(np.float32)[np.newaxis] / 255
    for name, whole in (("first", False), ("last", True)):
        work = quantizer.Quantizer(str(made[name]))
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        if not whole:
            for operator in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
                work.update_quantization_recipe(
                    regex=".*",
                    operation_name=operator,
                    algorithm_key=recipe.AlgorithmName.NO_QUANTIZE,
                )
        sample = image if name == "last" else image.transpose(0, 3, 1, 2)
        calibrated = work.calibrate({"serving_default": [{"args_0": np.ascontiguousarray(sample)}]})
        made[f"{name} int8"] = folder / f"{name}_int8.tflite"
        work.quantize(calibration_result=calibrated).export_model(str(made[f"{name} int8"]))
    said = json.dumps({"task": "detect", "stride": 32, "names": {"0": "red", "1": "blue"}})
    for path in made.values():
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("metadata.json", said)
    return made


def letterboxed(image: np.ndarray) -> np.ndarray:
    """The frame in the middle of grey, by hand: 160 x 96 between bars of 16."""
    whole = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    whole[16:112] = cv2.resize(image, (160, 96), interpolation=cv2.INTER_LINEAR)
    return whole


def formula(path: Path, image: np.ndarray) -> list[tuple[list[float], int, float]]:
    """Boxes in pixels of the frame, by the file's own output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    real = letterboxed(image).astype(np.float32)[np.newaxis] / 255
    if given["shape"][1] == 3:
        real = real.transpose(0, 3, 1, 2)
    scale, zero = given["quantization"]
    if scale:
        real = np.clip(np.rint(real / scale + zero), -128, 127).astype(np.int8)
    interpreter.set_tensor(given["index"], np.ascontiguousarray(real))
    interpreter.invoke()
    head = interpreter.get_tensor(taken["index"])[0].astype(np.float32)
    scale, zero = taken["quantization"]
    head = (head - zero) * scale if scale else head
    found = by_formula(head, LOWEST, objectness=False)
    sides, origin = np.asarray([WIDTH, HEIGHT] * 2), np.asarray([0, 16] * 2)
    return [(((np.asarray(b) * sides - origin) * 2.5).tolist(), i, s) for b, i, s in found]


@pytest.mark.parametrize("name", ["first", "last", "first int8", "last int8"])
def test_boxes_are_those_of_the_files_own_formula(
    tmp_path: Path, files: dict[str, Path], name: str
) -> None:
    import_model(files[name], tmp_path / "yard", Wishes(min_score=LOWEST))
    detector = Detector(tmp_path / "yard", threads=1)
    found = detector.detect(squares())
    wanted = formula(files[name], squares())
    assert {*found.label} == {"red", "blue"}
    corners = np.clip(np.asarray([box for box, *_ in wanted]), 0, [*FRAME, *FRAME])
    overlaps = pairwise_iou(found.xyxy, corners.astype(np.float32))
    same = np.asarray(found.class_id)[:, None] == np.asarray([index + 1 for _, index, _ in wanted])
    assert (np.where(same, overlaps, 0).max(axis=1) >= 0.95).all()
    for index in (0, 1):
        mine = found.score[np.asarray(found.class_id) == index + 1].max()
        assert mine == pytest.approx(max(s for _, i, s in wanted if i == index), abs=0.01)
