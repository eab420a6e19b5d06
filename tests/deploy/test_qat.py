"""Quantization-aware training: what is simulated, what is trained, what is written."""

import numpy as np
import pytest
import torch

from deploy.__main__ import main
from deploy.data.dataset import load_coco
from deploy.data.samples import photo_inputs
from deploy.quantization.qat import RoundedNetwork, activation_scales, rounded_weights
from deploy.training.checkpoint import load_checkpoint, load_network
from pi_detector.detector.runtime import open_interpreter

RECIPE = """
summary = "A little of everything"
weights = "int8"
activations = "int8"
[calibration]
photos = 8
[qat]
epochs = 1
learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A float training of two epochs and a quantization-aware one after it."""
    out = tmp_path_factory.mktemp("qat")
    (out / "little.toml").write_text(RECIPE)
    start = ["--data", str(data), "--batch", "8"]
    rest = ["--phases", "96x2", "--width", "0.35", "--out", str(out / "run")]
    assert main(["train", *start, *rest]) == 0
    rest = ["--checkpoint", str(out / "run" / "last.pt"), "--recipe", str(out / "little.toml")]
    assert main(["qat", *start, *rest, "--out", str(out / "qat")]) == 0
    return out


def device_logits(file, inputs):
    """Logits of an INT8 file, dequantized."""
    interpreter = open_interpreter(file.read_bytes(), "litert", 1, name=file.name, trusted=True)
    source = interpreter.get_input_details()[0]
    (output,) = (d for d in interpreter.get_output_details() if d["shape"][2] == 2)
    scale, zero = output["quantization"]
    found = []
    for image in inputs:
        quantized = np.rint(image.permute(1, 2, 0).numpy() * 128).astype(np.int8)
        interpreter.set_tensor(source["index"], quantized[None])
        interpreter.invoke()
        found.append((interpreter.get_tensor(output["index"]).astype(np.float32) - zero) * scale)
    return np.concatenate(found)


def test_the_rounded_network_is_nearer_to_the_device_than_the_float_one(data, trained):
    network = load_network(trained / "run" / "last.pt")
    file = trained / "qat" / "calibrated.tflite"
    inputs = photo_inputs(load_coco(data / "val.json", data / "val"), 6, 96, 1)
    scales = activation_scales(file)
    with torch.no_grad():
        rounded = RoundedNetwork(network, scales).eval()(inputs)[0].numpy()
        plain = network(inputs)[0].numpy()
    device = device_logits(file, inputs)
    assert np.abs(rounded - device).mean() < 0.7 * np.abs(plain - device).mean()


def test_the_result_is_a_float_network_with_other_weights(trained):
    before = load_checkpoint(trained / "run" / "last.pt")
    after = load_checkpoint(trained / "qat" / "last.pt")
    assert before["average"].keys() == after["average"].keys()
    name = "classify.0.predict.weight"
    assert not torch.equal(before["average"][name], after["average"][name])
    norm = "lateral.0.norm.running_mean"
    assert torch.equal(before["average"][norm], after["average"][norm])
    kinds = [entry.get("training") for entry in after["lineage"]]
    assert kinds == ["float", "quantization-aware"]


def test_the_file_has_the_scales_that_were_trained_with(trained):
    calibrated = activation_scales(trained / "qat" / "calibrated.tflite")
    written = activation_scales(trained / "qat" / "int8.tflite")
    assert written.keys() == calibrated.keys()
    for name, (scale, zero) in calibrated.items():
        assert written[name][0] == pytest.approx(scale, rel=1e-4), name
        assert written[name][1] == zero, name


def test_weights_are_rounded_channel_by_channel():
    weight = torch.tensor([[1.27, 0.0149], [127.0, 1.4]]).reshape(2, 2, 1, 1)
    expected = torch.tensor([[1.27, 0.01], [127.0, 1.0]]).reshape(2, 2, 1, 1)
    torch.testing.assert_close(rounded_weights(weight), expected)


def test_a_recipe_without_the_training_is_refused(data, trained, capsys):
    rest = ["--checkpoint", str(trained / "run" / "last.pt"), "--out", str(trained / "other")]
    assert main(["qat", "--data", str(data), "--recipe", "int8", *rest]) == 65
    assert "has no table `qat`" in capsys.readouterr().err
