"""The bundled network as ONNX, for OpenCV and ONNX Runtime: float32, and INT8 by calibration.

    make test-deploy ARGS=--co                      # makes .venv-deploy, 2.3 GB
    .venv-deploy/bin/python -m pip install -e '.[deploy,bench]'
    .venv-deploy/bin/python -m benchmarks.export_onnx --clip CLIP --out build/onnx

The float network gets the bundle's dequantized weights. ONNX Runtime's own static quantization
makes the INT8 file (QDQ, weights by channel) from frames of the clip. Writes ``float32.onnx`` and
``int8.onnx``, and prints how near their outputs are to the bundle's on a frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from deploy.training.network import NetworkSpec, SSDLite
from deploy.training.warmstart import load_weights, read_weights
from pi_detector.config.settings import ModelSettings
from pi_detector.detector.bundle import load_model
from pi_detector.detector.runtime import open_interpreter
from pi_detector.detector.tensors import tensor_info

CALIBRATION_FRAMES = 48
OPSET = 18


class Frames(CalibrationDataReader):
    """Hands the inputs to the calibration, one by one."""

    def __init__(self, inputs: NDArray[np.float32]) -> None:
        self._rest: Iterator[NDArray[np.float32]] = iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None."""
        image = next(self._rest, None)
        return None if image is None else {"image": image[np.newaxis]}


def inputs_of(clip: str, side: int) -> NDArray[np.float32]:
    """(N, 3, side, side) network inputs: frames from all over the clip."""
    video = cv2.VideoCapture(clip, cv2.CAP_FFMPEG)
    frames = []
    while (read := video.read())[0]:
        rgb = cv2.cvtColor(cv2.resize(read[1], (side, side)), cv2.COLOR_BGR2RGB)
        frames.append((rgb.astype(np.float32).transpose(2, 0, 1) - 128) / 128)
    step = max(1, len(frames) // CALIBRATION_FRAMES)
    return np.stack(frames[::step][:CALIBRATION_FRAMES])


def bundle_outputs(bundle, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Logits and boxes of the bundle for a network input."""
    interpreter = open_interpreter(bundle.model, threads=1, trusted=True)
    view = interpreter.tensor(interpreter.get_input_details()[0]["index"])()
    view[0] = np.rint(image.transpose(1, 2, 0) * 128)
    del view
    interpreter.invoke()
    named = {i.name: i for i in map(tensor_info, interpreter.get_output_details())}
    outputs = bundle.manifest.outputs
    return [
        named[name].dequantize(interpreter.tensor(named[name].index)())
        for name in (outputs.logits, outputs.boxes)
    ]


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", required=True, help="video whose frames calibrate")
    parser.add_argument("--out", type=Path, default=Path("build/onnx"), help="folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    float_path, int8_path = args.out / "float32.onnx", args.out / "int8.onnx"

    bundle = load_model(ModelSettings())
    labels = [label.name for label in bundle.labels]
    side = bundle.manifest.input.width
    network = SSDLite(NetworkSpec(len(labels), side, norms=False)).eval()
    inputs = inputs_of(args.clip, side)
    load_weights(network, read_weights(bundle.path / bundle.manifest.model.file, labels), labels)
    torch.onnx.export(
        network, (torch.from_numpy(inputs[:1]),), str(float_path), opset_version=OPSET,
        input_names=["image"], output_names=["logits", "boxes"], dynamo=False,
    )  # fmt: skip
    prepared = args.out / "prepared.onnx"
    quant_pre_process(str(float_path), str(prepared))
    quantize_static(
        str(prepared), str(int8_path), Frames(inputs), quant_format=QuantFormat.QDQ,
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    prepared.unlink()

    wanted = bundle_outputs(bundle, inputs[0])
    for path in (float_path, int8_path):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        given = session.run(["logits", "boxes"], {"image": inputs[:1]})
        logits, boxes = (
            np.corrcoef(ours.ravel(), its.ravel())[0, 1]
            for ours, its in zip(wanted, given, strict=True)
        )
        print(f"{path}: correlation with the bundle: logits {logits:.4f}, boxes {boxes:.4f}")


if __name__ == "__main__":
    main()
