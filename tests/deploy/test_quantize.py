"""Every recipe on a small network: what it stores, that the device runs it, what is refused."""

import weakref
from datetime import UTC, datetime

import cv2
import msgspec
import numpy as np
import pytest
from exported import CONSTANT, CONSTANT_BIAS, SPEC, export_small, pictures

from deploy.__main__ import main
from deploy.data.dataset import Category
from deploy.packaging.package import BundleInfo, write_bundle
from deploy.quantization.export import INPUT, Graph
from deploy.quantization.layers import layers, tensor_name
from deploy.quantization.probe import Probe, quantized
from deploy.quantization.quantize import (
    QuantizationError,
    calibration_inputs,
    quantize,
    read_network,
)
from deploy.quantization.recipes import (
    Calibration,
    RecipeError,
    find_recipe,
    list_recipes,
    load_recipe,
)
from pi_detector.core.frame import Frame
from pi_detector.detector.bundle import load_bundle
from pi_detector.detector.detector import Detector
from pi_detector.detector.runtime import open_interpreter
from pi_detector.detector.tensors import tensor_info

RECIPES = [recipe.name for recipe in list_recipes()]
INT8 = [name for name in RECIPES if name.startswith(("int8", "qat"))]
BASE = 'summary = "s"\nweights = "int8"\nactivations = "int8"\n'


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return export_small(tmp_path_factory.mktemp("float") / "float32.tflite")


@pytest.fixture(scope="module")
def files(reference, tmp_path_factory):
    """The network by every recipe."""
    folder = tmp_path_factory.mktemp("recipes")
    for name in RECIPES:
        recipe = find_recipe(name).with_photos(8)
        quantize(reference, recipe, pictures(8), folder / f"{name}.tflite")
    return {name: folder / f"{name}.tflite" for name in RECIPES}


@pytest.fixture(scope="module")
def probes(files):
    return {name: Probe(read_network(file)) for name, file in files.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_the_device_takes_and_decodes_it(name, files, tmp_path):
    """Its best score is that of the highest logit that the file gives for the real image."""
    byte = np.random.default_rng(5).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    image = (byte.astype(np.float32) - 128)[None] / 128
    interpreter = open_interpreter(files[name], "litert", 1)
    source = tensor_info(interpreter.get_input_details()[0])
    interpreter.tensor(source.index)()[:] = quantized(image, source)
    interpreter.invoke()
    outputs = map(tensor_info, interpreter.get_output_details())
    (logits,) = (info for info in outputs if info.shape[2] == 2)
    highest = logits.dequantize(interpreter.tensor(logits.index)()).max()

    info = BundleInfo(name, "1", "test", SPEC, [Category(1, "person"), Category(3, "car")])
    write_bundle(files[name], info, tmp_path / name)
    detector = Detector(load_bundle(tmp_path / name), min_score=0.05)
    frame = Frame(byte, 0, 0, datetime.now(UTC), "test")
    detections, _, _ = detector.run(detector.prepare(frame))
    assert detections.score[0] == pytest.approx(1 / (1 + np.exp(-highest)), abs=1e-5)


# Untrained, the network multiplies small errors: a trained one comes through far better.
@pytest.mark.parametrize("name", RECIPES)
def test_it_gives_what_float_gives(name, probes):
    image = next(pictures(1, seed=5))[INPUT]
    expected, actual = (
        probe.info("logits").dequantize(probe.run(image)["logits"]).ravel()
        for probe in (probes["float32"], probes[name])
    )
    least = {"float32": 1, "float16": 0.99, "weight-only-int8": 0.9, "int16x8": 0.8}.get(name, 0.6)
    assert np.corrcoef(expected, actual)[0, 1] > least - 1e-6


def test_what_is_stored(probes):
    def kinds(name):
        probe = probes[name]
        return {probe.info(layer).dtype.name for layer in probe.layers}

    assert kinds("int16x8") == {"int16"}
    assert kinds("int8-mixed") == {"int8", "float32"}
    for name in {*INT8} - {"int8-mixed"}:
        assert kinds(name) == {"int8"}
    for name in ("float32", "float16", "dynamic-range", "weight-only-int8"):
        assert kinds(name) == {"float32"}


def test_smaller_weights_make_smaller_files(files):
    size = {name: file.stat().st_size for name, file in files.items()}
    assert size["float16"] < 0.75 * size["float32"]
    assert size["weight-only-int8"] < 0.75 * size["float16"]
    assert size["int8"] < 0.5 * size["float32"]


@pytest.mark.parametrize("name", [*INT8, "int16x8"])
def test_the_input_is_the_byte_less_128(name, files):
    subgraph = read_network(files[name]).subgraphs[0]
    quantization = subgraph.tensors[subgraph.inputs[0]].quantization
    assert quantization.scale.tolist() == [1 / 128]
    assert quantization.zeroPoint.tolist() == [0]


@pytest.mark.parametrize("name", ["int8", "int8-moving-average", "int16x8"])
def test_concatenations_need_no_requantization(name, probes, files):
    probe = probes[name]
    graph = Graph(read_network(files[name]))
    for layer in layers(graph):
        if layer.kind == "CONCATENATION":
            inputs = [tensor_name(graph, tensor) for tensor in layer.operator.inputs]
            alike = {(probe.info(n).scale, probe.info(n).zero_point) for n in (*inputs, layer.name)}
            assert len(alike) == 1
            assert len(inputs) == 5


def test_int8_logits_are_cut_off_where_nobody_asks(probes):
    logits = probes["int8"].info("logits")
    assert (-128 - logits.zero_point) * logits.scale == pytest.approx(-7, abs=logits.scale)


def test_weights_have_a_scale_a_channel(files):
    graph = Graph(read_network(files["int8"]))
    convolutions = [layer for layer in layers(graph) if layer.kind.endswith("CONV_2D")]
    assert len(convolutions) > 60
    for layer in convolutions:
        weights = graph.subgraph.tensors[layer.operator.inputs[1]]
        assert len(weights.quantization.scale) == weights.shape[0 if layer.kind == "CONV_2D" else 3]


@pytest.mark.parametrize("name", ["int8-mse", "int8-octav"])
def test_mse_and_octav_change_the_weights_alone(name, probes, files):
    plain, other = probes["int8"], probes[name]
    assert all(plain.info(n).scale == other.info(n).scale for n in plain.layers)

    def scales(file):
        graph = Graph(read_network(file))
        convolutions = [la for la in layers(graph) if la.kind.endswith("CONV_2D")]
        weights = [graph.subgraph.tensors[la.operator.inputs[1]] for la in convolutions]
        return np.concatenate([tensor.quantization.scale for tensor in weights])

    assert not np.array_equal(scales(files["int8"]), scales(files[name]))
    assert scales(files[name]).min() > 0


def test_moving_average_ranges_lie_within_the_extremes(probes):
    plain, moving = probes["int8"], probes["int8-moving-average"]
    names = [n for n in plain.layers if n.startswith("backbone.blocks") and n.endswith("project")]
    ratios = [moving.info(name).scale / plain.info(name).scale for name in names]
    assert max(ratios) < 1.001
    assert min(ratios) < 0.99


@pytest.mark.parametrize("name", ["int8", "int8-mse", "int8-octav", "int16x8"])
def test_a_channel_without_weights_keeps_its_bias(name, probes):
    stored = probes[name].run(next(pictures(1))[INPUT])[CONSTANT]
    real = probes[name].info(CONSTANT).dequantize(stored)
    assert real[..., 0] == pytest.approx(CONSTANT_BIAS, abs=0.03)


def test_the_chosen_layers_are_left_in_float(reference, tmp_path):
    recipe = msgspec.structs.replace(
        find_recipe("int8").with_photos(2), float_layers=("lateral.1", r"classify\..*")
    )
    quantize(reference, recipe, pictures(2), tmp_path / "mixed.tflite")
    probe = Probe(read_network(tmp_path / "mixed.tflite"))
    floats = {n for n in probe.layers if probe.info(n).dtype == np.float32}
    assert floats == {"lateral.1"} | {n for n in probe.layers if n.startswith("classify.")}


def test_a_pattern_that_matches_no_layer_is_refused(reference, tmp_path):
    recipe = msgspec.structs.replace(find_recipe("int8").with_photos(1), float_layers=("lateral",))
    with pytest.raises(QuantizationError, match="'lateral' matches no whole name"):
        quantize(reference, recipe, pictures(1), tmp_path / "mixed.tflite")


def test_calibration_holds_one_picture_at_a_time(reference, tmp_path):
    alive = []

    def inputs():
        for picture in pictures(6):
            alive.append(weakref.ref(picture[INPUT]))
            yield picture
            del picture
            assert sum(ref() is not None for ref in alive) <= 2

    quantize(reference, find_recipe("int8"), inputs(), tmp_path / "int8.tflite")
    assert len(alive) == 6


def test_given_ranges_take_the_place_of_calibrated_ones(reference, files, probes, tmp_path):
    out = tmp_path / "int8.tflite"
    given = {"lateral.2": (0.0, 3.0), "logits": (-4.0, 4.0)}
    quantize(reference, find_recipe("int8"), pictures(8), out, given)
    probe = Probe(read_network(out))
    assert probe.info("lateral.2").scale == pytest.approx(3 / 255)
    assert probe.info("classify.0.predict").scale == pytest.approx(8 / 255)
    assert probe.info("lateral.1").scale == probes["int8"].info("lateral.1").scale


@pytest.mark.parametrize(
    ("given", "message"),
    [({"lateral.9": (0, 1)}, "'lateral.9', which the network has not"),
     ({"lateral.1": (1, 1)}, "is empty")],
)  # fmt: skip
def test_ranges_that_are_none_are_refused(reference, tmp_path, given, message):
    with pytest.raises(QuantizationError, match=message):
        quantize(reference, find_recipe("int8"), pictures(1), tmp_path / "x.tflite", given)


def test_without_photos_nothing_is_calibrated(reference, tmp_path):
    with pytest.raises(QuantizationError, match="there are no photos"):
        quantize(reference, find_recipe("int8"), [], tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())


def test_a_quantized_file_is_refused(files, tmp_path):
    with pytest.raises(QuantizationError, match="quantized already"):
        quantize(files["int8"], find_recipe("int8"), pictures(1), tmp_path / "x.tflite")


def test_a_damaged_model_is_refused(reference, tmp_path, capsys):
    model = tmp_path / "float32.tflite"
    for content in (b"", b"not a model at all", reference.read_bytes()[:2000]):
        model.write_bytes(content)
        rest = ["--recipe", "float16", "--out", str(tmp_path / "x.tflite")]
        assert main(["quantize", "--model", str(model), *rest]) == 65
        assert str(model) in capsys.readouterr().err


@pytest.fixture
def frames(tmp_path):
    """A folder of pictures as a device collects them, and something else."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(pictures(5)):
        image = (picture[INPUT][0] * 128 + 128).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    (folder / "notes.txt").write_text("none of these")
    return folder


def test_frames_calibrate(reference, frames, tmp_path, capsys):
    out = tmp_path / "int8.tflite"
    rest = ["--frames", str(frames), "--out", str(out)]  # Five, of 256 that the recipe names.
    assert main(["quantize", "--model", str(reference), "--recipe", "int8", *rest]) == 0
    assert "recipe int8" in capsys.readouterr().out
    assert Probe(read_network(out)).info("logits").dtype == np.int8


@pytest.mark.parametrize(
    ("rest", "message"),
    [(["--frames", "EMPTY"], "holds no picture to calibrate with"),
     (["--frames", "nowhere"], "nowhere: no such folder of pictures"),
     ([], "calibration photos are missing; add --data or --frames")],
)  # fmt: skip
def test_calibration_without_photos_is_refused(reference, tmp_path, capsys, rest, message):
    (tmp_path / "empty").mkdir()
    rest = [str(tmp_path / "empty") if part == "EMPTY" else part for part in rest]
    command = ["quantize", "--model", str(reference), "--recipe", "int8", *rest]
    assert main([*command, "--out", str(tmp_path / "x.tflite")]) == 65
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.tflite").exists()


def test_the_choice_of_photos_depends_on_the_seed_alone(frames):
    def choice(seed):
        found = calibration_inputs(frames, 32, Calibration(photos=3, seed=seed))
        return [values[INPUT].tobytes() for values in found]

    assert choice(1) == choice(1)
    assert choice(1) != choice(2)


@pytest.mark.parametrize(
    ("text", "message"),
    [(BASE + "colour = 1", "unknown key `colour`"),
     (BASE + "[calibration]\nphoto = 3", "unknown key `calibration.photo`"),
     (BASE + "[qat]\nepochs = 0", "`qat.epochs`"),
     (BASE + '[calibration]\nmethod = "entropy"', "`calibration.method`"),
     (BASE + "float_layers = ['(']", "`float_layers`"),
     (BASE + 'compute = "float"', "`compute`"),
     (BASE + 'name = "x"', "unknown key `name`"),
     (BASE.replace("int8", "int4"), "`weights`"),
     (BASE.replace('weights = "int8"', 'weights = "float16"'), "`activations`"),
     ('summary = "s"\nweights = "int8"\nactivations = "float32"', "`compute`"),
     ('weights = "float32"\nactivations = "float32"', "key `summary` is missing"),
     ("weights = ", "not a TOML file")],
)  # fmt: skip
def test_a_recipe_that_is_none_is_refused_with_file_and_key(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_an_unknown_recipe_is_refused_with_the_nearest(capsys):
    rest = ["--model", "x.tflite", "--out", "y.tflite"]
    assert main(["quantize", "--recipe", "int8-msa", *rest]) == 65
    assert "did you mean 'int8-mse'?" in capsys.readouterr().err
