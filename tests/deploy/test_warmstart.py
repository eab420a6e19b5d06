"""Starting from the weights of a trained network: what fits is taken, what is new is said."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deploy.data.coco_classes import COCO_IDS
from deploy.data.samples import to_input
from deploy.quantization.export import export_float
from deploy.quantization.quantize import quantize
from deploy.quantization.recipes import find_recipe
from deploy.training.checkpoint import labels as labels_of
from deploy.training.checkpoint import load_network, save_checkpoint
from deploy.training.derive import Derivation, derive
from deploy.training.network import NetworkSpec, SSDLite
from deploy.training.warmstart import WarmStartError, load_weights, read_weights, select_classes
from pi_detector.detector.anchors import decode_boxes, make_anchors

SPEC = NetworkSpec(3, input_size=96, width=0.35, norms=False)
LABELS = ["person", "car", "dog"]
SHARED = Path(__file__).resolve().parents[3] / "shared"
COCO = SHARED / "warmstart" / "coco_ssdlite_mobilenetv2.npz"


@pytest.fixture(scope="module")
def trained():
    """A network with weights that nobody else has."""
    torch.manual_seed(7)
    network = SSDLite(SPEC).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:  # What is fed to the last layers must not die away.
                torch.nn.init.kaiming_normal_(parameter)
    return network


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    """The same, quantized, with its labels beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    export_float(trained, folder / "float.tflite")
    recipe = find_recipe("int8").with_photos(4)
    inputs = ({"image": np.random.default_rng(i).uniform(-1, 1, (1, 96, 96, 3)).astype("float32")}
              for i in range(4))  # fmt: skip
    quantize(folder / "float.tflite", recipe, inputs, folder / "model.tflite")
    return folder / "model.tflite"


def test_a_bundle_of_this_network_is_taken_whole(trained, bundle):
    network = SSDLite(SPEC)
    loaded = load_weights(network, read_weights(bundle, LABELS), LABELS)
    assert not loaded.new
    assert not loaded.new_labels
    image = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        for a, b in zip(network.eval()(image), trained(image), strict=True):
            assert np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1] > 0.98


def test_classes_are_taken_by_name_and_new_ones_are_said(trained, bundle):
    network = SSDLite(NetworkSpec(2, input_size=96, width=0.35, norms=False))
    before = network.classify[2].predict.weight.detach().clone().reshape(6, 2, -1)
    loaded = load_weights(network, read_weights(bundle, LABELS), ["raccoon", "dog"])
    assert loaded.new_labels == ["raccoon"]
    assert "new classes: raccoon" in str(loaded)
    after = network.classify[2].predict.weight.detach().reshape(6, 2, -1)
    theirs = trained.classify[2].predict.weight.detach().reshape(6, 3, -1)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    torch.testing.assert_close(after[:, 1], theirs[:, 2], atol=5e-3, rtol=0)


def test_a_network_with_norms_computes_what_the_file_does(trained, bundle):
    network = SSDLite(NetworkSpec(3, input_size=96, width=0.35))
    generator = torch.Generator().manual_seed(3)
    photos = torch.rand(16, 3, 96, 96, generator=generator) * 2 - 1
    load_weights(network, read_weights(bundle, LABELS), LABELS, photos)
    with torch.no_grad():
        found, expected = network.eval()(photos)[0], trained(photos)[0]
    assert np.corrcoef(found.numpy().ravel(), expected.numpy().ravel())[0, 1] > 0.97


def test_another_width_is_refused(bundle):
    with pytest.raises(WarmStartError, match="same width"):
        load_weights(SSDLite(NetworkSpec(3, width=1.0)), read_weights(bundle, LABELS), LABELS)


def test_no_weights_are_an_error_that_names_the_file(tmp_path):
    for name in ("a.tflite", "b.npz"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(WarmStartError, match=name):
            read_weights(tmp_path / name)


def test_some_classes_of_a_network(trained):
    image = torch.rand(1, 3, 96, 96) * 2 - 1
    smaller = select_classes(trained, LABELS, ["dog", "person"])
    with torch.no_grad():
        (logits, boxes), (all_logits, all_boxes) = smaller(image), trained(image)
    torch.testing.assert_close(logits, all_logits[..., [2, 0]])
    torch.testing.assert_close(boxes, all_boxes)


def test_a_mean_of_two_checkpoints(trained, tmp_path):
    def checkpoint(name, shift):
        state = {n: v + shift for n, v in trained.state_dict().items()}
        content = {"spec": vars(SPEC) | {}, "labels": LABELS, "average": state, "lineage": []}
        save_checkpoint(tmp_path / name, content)
        return tmp_path / name

    wanted = Derivation(["car"], 128, blend=checkpoint("b.pt", 1.0), share=0.25)
    derive(checkpoint("a.pt", 0.0), wanted, tmp_path / "c.pt")
    network = load_network(tmp_path / "c.pt")
    assert labels_of(tmp_path / "c.pt") == ["car"]
    assert network.spec.input_size == 128
    torch.testing.assert_close(network.last.conv.weight, trained.last.conv.weight + 0.25)


@pytest.mark.skipif(not COCO.exists(), reason="needs the weights of COCO's network")
def test_coco_finds_a_cat_before_any_training():
    network = SSDLite(NetworkSpec(len(COCO_IDS), norms=False)).eval()
    loaded = load_weights(network, read_weights(COCO), list(COCO_IDS))
    assert {name.split(".")[0] for name in loaded.new} == {
        "lateral", "smooth", "classify", "regress",
    }  # fmt: skip
    assert all(".0." in name or name[:7] in ("lateral", "smooth.") for name in loaded.new)
    photo = sorted((SHARED / "dataset" / "far").glob("oxpets-*.jpg"))[0]
    image = cv2.cvtColor(cv2.resize(cv2.imread(str(photo)), (300, 300)), cv2.COLOR_BGR2RGB)
    inputs = to_input(torch.from_numpy(image).permute(2, 0, 1)[None])
    with torch.no_grad():
        logits, boxes = network(inputs)
    spec = network.spec.anchors()
    known = slice(spec.map_sizes[0][0] ** 2 * spec.per_location[0], None)
    scores = logits[0, known].sigmoid()
    best = int(scores.max(1).values.argmax())
    assert list(COCO_IDS)[int(scores[best].argmax())] in ("cat", "dog")
    assert scores[best].max() > 0.5
    box = decode_boxes(boxes[0, known].numpy(), make_anchors(spec)[known], spec.variances)[best]
    assert (box[2:] - box[:2]).min() > 100
