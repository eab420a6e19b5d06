"""Planted faults are found, and the advice of a diagnosis helps."""

import json
import tomllib
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from exported import CONSTANT, export_small, pictures

from deploy.__main__ import main
from deploy.quantization.diagnose import compare, float_layers, render, to_dict, warnings_of
from deploy.quantization.export import INPUT
from deploy.quantization.quantize import QuantizationError, quantize
from deploy.quantization.recipes import find_recipe

INT8 = find_recipe("int8").with_photos(8)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return export_small(tmp_path_factory.mktemp("float") / "float32.tflite")


@pytest.fixture(scope="module")
def int8(reference, tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "int8.tflite"
    quantize(reference, INT8, pictures(8), out)
    return out


@pytest.fixture(scope="module")
def reports(reference, int8):
    return compare(reference, int8, pictures(4, seed=3))


def by_name(reports):
    return {report.name: report for report in reports}


def test_the_worst_comes_first(reports):
    assert [r.own_sqnr_db for r in reports] == sorted(r.own_sqnr_db for r in reports)
    assert len(reports) == len(by_name(reports)) == 110


def test_own_errors_are_smaller_than_accumulated_ones_deep_in_the_network(reports):
    deep = [r for r in reports if r.name.startswith(("backbone.blocks.1", "lateral", "smooth"))]
    assert np.mean([r.own_sqnr_db - r.sqnr_db for r in deep]) > 3
    stem = by_name(reports)["backbone.stem"]
    assert stem.own_sqnr_db == pytest.approx(stem.sqnr_db, abs=0.5)


def test_a_float_file_differs_in_nothing_from_itself(reference):
    reports = compare(reference, reference, pictures(1))
    assert all(r.sqnr_db == r.own_sqnr_db == np.inf for r in reports)
    assert all(r.cosine == pytest.approx(1) for r in reports)
    assert to_dict(reports)["layers"][0]["sqnr_db"] is None
    assert "float_layers" not in render(reports, 5, 0.01)


def test_a_range_that_is_too_narrow_is_found(reference, tmp_path):
    out = tmp_path / "narrow.tflite"
    quantize(reference, INT8, pictures(8), out, {"backbone.blocks.4.project": (-0.3, 0.3)})
    reports = compare(reference, out, pictures(4, seed=3))
    assert reports[0].name == "backbone.blocks.4.project"
    assert reports[0].clipped > 0.3
    assert reports[0].saturated > 0.3
    (warning,) = [w for w in warnings_of(reports, 0.2) if "limits" in w]
    assert warning.startswith("backbone.blocks.4.project: ")


def test_relu_zeros_are_not_taken_for_saturation(reports):
    assert not [w for w in warnings_of(reports, 0.2) if "limits" in w]


def test_constant_channels_are_found(reports):
    assert 0 in by_name(reports)[CONSTANT].dead
    assert any(f"{CONSTANT} " in w for w in warnings_of(reports, 1) if "constant in float" in w)


def test_channels_that_quantization_makes_constant_are_found(reference, tmp_path):
    out = tmp_path / "wide.tflite"
    quantize(reference, INT8, pictures(8), out, {"lateral.1": (0.0, 4000.0)})
    wide = by_name(compare(reference, out, pictures(2)))["lateral.1"]
    assert len(wide.lost) + len(wide.dead) == wide.channels
    assert len(wide.lost) > 100


def test_the_line_leaves_the_worst_layers_in_float_and_that_helps(reference, reports, tmp_path):
    line = tomllib.loads(float_layers(reports, 2))["float_layers"]
    recipe = msgspec.structs.replace(INT8, float_layers=tuple(line))
    quantize(reference, recipe, pictures(8), tmp_path / "mixed.tflite")
    before = by_name(reports)
    after = by_name(compare(reference, tmp_path / "mixed.tflite", pictures(4, seed=3)))
    assert {name for name, r in after.items() if r.dtype == "float32"} == set(line)
    for name in line:
        assert after[name].own_sqnr_db > before[name].own_sqnr_db + 1
        assert after[name].sqnr_db > before[name].sqnr_db


def test_the_command_prints_and_writes_all_layers(reference, int8, tmp_path, capsys):
    for number, picture in enumerate(pictures(3)):
        image = (picture[INPUT][0] * 128 + 128).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    command = ["diagnose", "--float", str(reference), "--quantized", str(int8), "--photos", "3"]
    file = tmp_path / "diagnosis.json"
    rest = ["--frames", str(tmp_path), "--json", str(file), "--rows", "4"]
    assert main([*command, *rest]) == 0
    printed = capsys.readouterr().out
    content = json.loads(file.read_text())
    assert len(content["layers"]) == 110
    assert content["layers"][0]["name"] in printed
    assert content["float_layers"] in printed


def test_other_networks_and_no_photos_are_refused(reference, int8):
    with pytest.raises(QuantizationError, match="no photos"):
        compare(reference, int8, [])
    with pytest.raises(QuantizationError, match=r"is damaged|not a \.tflite"):
        compare(reference, Path(__file__), [])
