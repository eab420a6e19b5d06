"""The report: its statistics by hand, its conclusions by made-up figures, and a run of it."""

import json
import re
import shutil
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from deploy.__main__ import main
from deploy.data.dataset import load_coco
from deploy.evaluation.bootstrap import Matches, difference
from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import ClassMetrics, Metrics, measure
from deploy.quantization.export import Graph, export_float
from deploy.report.conclude import choose, compare_training, pareto_front, verdict
from deploy.report.content import (
    Changes,
    Choice,
    Example,
    GraphFacts,
    Latency,
    Report,
    Row,
)
from deploy.report.examples import Disagreement
from deploy.report.graph import count_macs, graph_facts
from deploy.report.instructions import count_instructions
from deploy.report.latency import quartiles
from deploy.report.render import write_report
from deploy.training.network import NetworkSpec, SSDLite

SCORES = {1: 0.5, 3: 0.5}


def perfect(annotations, score=0.9):
    content = json.loads(annotations.read_text())
    return [
        {key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": score}
        for a in content["annotations"]
    ]


@pytest.fixture
def val(data):
    return data / "val.json"


def noisy(annotations, seed):
    """Right boxes with scores by chance, and as many wrong ones."""
    rng = np.random.default_rng(seed)
    right = [r | {"score": float(rng.uniform(0.3, 1))} for r in perfect(annotations)]
    wrong = [r | {"bbox": [0.0, 0.0, 9.0, 9.0], "score": float(rng.uniform(0, 0.9))} for r in right]
    return right + wrong


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_bootstrap_measures_as_cocoeval_does(val, seed):
    results = noisy(val, seed)
    assert Matches(val, results).ap() == pytest.approx(measure(val, results).ap50, abs=1e-9)


def test_a_photo_that_counts_twice_is_one_that_is_there_twice(val, tmp_path):
    results = noisy(val, 4)
    content = json.loads(val.read_text())
    again = {i["id"]: i["id"] + 100 for i in content["images"]}
    content["images"] += [i | {"id": again[i["id"]]} for i in content["images"]]
    content["annotations"] += [
        a | {"id": a["id"] + 100, "image_id": again[a["image_id"]]} for a in content["annotations"]
    ]
    doubled = tmp_path / "doubled.json"
    doubled.write_text(json.dumps(content))
    twice = [*results, *(r | {"image_id": again[r["image_id"]]} for r in results)]
    once = Matches(val, results)
    assert once.ap(np.full(once.photos, 2.0)) == pytest.approx(
        measure(doubled, twice).ap50, abs=0.01
    )


def test_the_interval_of_a_model_with_itself_is_empty_and_of_a_worse_one_is_not(val):
    good, bad = Matches(val, perfect(val)), Matches(val, [])
    same = difference(good, good, samples=20)
    assert (same.points, same.low, same.high) == (0, 0, 0)
    assert not same.shown
    assert difference(good, bad, samples=20) == Interval(100, 100, 100)
    assert difference(bad, good, samples=20).shown


def test_what_one_model_alone_finds_is_counted_and_shown_with_the_other_score(data, val):
    dataset = load_coco(val, data / "val")
    base, other = perfect(val), perfect(val)
    other[0]["score"] = 0.4  # below the threshold: lost
    other[1]["bbox"] = [0.0, 0.0, 5.0, 5.0]  # elsewhere: one lost, one new
    del other[2]  # lost
    found = Disagreement(dataset, base, other, SCORES)
    assert found.changes == Changes(photos=3, lost=3, new=1)
    examples = found.examples(10)
    names = [example.photo for example, _ in examples]
    assert names[0] == dataset.photos[1].path.name  # 0.9 lost and 0.9 new
    last, (left, right) = examples[-1]
    assert last.lost[0].endswith("0.90 (0.40)")
    assert left.startswith(b"\xff\xd8")
    assert left != right
    assert found.examples(1) == examples[:1]


def test_quartiles():
    assert quartiles([3.0, 1.0, 2.0]) == (1.5, 2.0, 2.5)
    assert quartiles([7.0]) == (7, 7, 7)


def row(name, ap50, ratio, kind="recipe", size=1000, spread=0.01, **more):
    classes = {
        "car": ClassMetrics(8, 8, ap50 / 2, ap50, None, ap50, None, 0.4, 0.9, 0.8),
    }
    return Row(
        name=name, kind=kind, bytes=size, types="int8 / int8",
        metrics=Metrics(ap50 / 2, ap50, None, ap50, None, classes),
        ap_drop=0.0, ap50_drop=Interval(100 * (0.8 - ap50), 0.1, 2.0),
        latency=[Latency("litert", 1, ratio, ratio - spread, ratio + spread, 10 * ratio)],
        graph=GraphFacts(5_000_000, {"CONV_2D": 3, "ADD": 1}, {"ADD": 1}, 2), **more,
    )  # fmt: skip


def rows():
    return [
        row("float32", 0.800, 1.0, "float", 4000),
        row("int8", 0.795, 0.4),
        row("int8-mse", 0.798, 0.405),
        row("tiny", 0.700, 0.2),
        row("slow", 0.790, 1.5),
        row("peer", 0.99, 0.1, "reference"),
        Row(name="int16x8", kind="recipe", failure="the detector cannot take INT16"),
    ]


def test_the_front_holds_what_nothing_beats_in_both():
    assert [r.name for r in pareto_front(rows())] == ["tiny", "int8", "int8-mse", "float32"]


def test_the_choice_is_the_best_of_the_fast_ones_within_a_point():
    choice = choose(rows())
    assert choice.name == "int8-mse"  # as fast as int8 by its quartiles, and more accurate
    assert "0.41 of float32's time" in choice.reason
    assert "0.25 of its size" in choice.reason
    apart = [row(r.name, r.metrics.ap50, r.time.ratio, r.kind, r.bytes, spread=0.001)
             for r in rows() if r.measured]  # fmt: skip
    assert choose(apart).name == "int8"
    assert choose([rows()[0], rows()[3]]).name == "float32"  # the other loses too much


def test_training_is_called_no_better_unless_the_interval_shows_it(val):
    better, same, worse = Interval(1, 0.2, 2), Interval(1, -0.2, 2), Interval(-1, -2, -0.1)
    qat, ptq = row("qat", 0.8, 0.4, qat=True), row("int8", 0.8, 0.4)
    assert verdict(qat, ptq, better).endswith("The training pays.")
    assert "No difference can be shown" in verdict(qat, ptq, same)
    assert verdict(qat, ptq, worse).endswith("The training did harm.")
    matches = {"qat": Matches(val, perfect(val)), "int8": Matches(val, noisy(val, 1))}
    (comparison,), _ = compare_training([rows()[0], ptq, qat], matches)
    assert (comparison.qat, comparison.ptq) == ("qat", "int8")
    assert comparison.gain.points > 0
    assert compare_training([ptq], matches)[0] == []


@pytest.fixture
def report():
    models = rows()
    models[1].changes = Changes(2, 3, 1)
    models[2].instructions = 123_400_000
    models[1].latency_failures = {"tflite": "op <CONV_2D> & version 9"}
    return Report(
        date="2026-01-31", machine={"processor": "a processor", "cores": "2"}, photos=8,
        photos_in_set=9, labels=["car"], rows=models, comparison_note="Nothing was trained.",
        choice=Choice("int8", ["int8", "float32"], "Take int8: it is fast."),
        thresholds={"car": 0.4}, compared="int8", not_measured=["Something: absent."],
        confusion={"labels": ["car", "background"], "counts": [[6, 2], [1, 0]],
                   "classes": {"car": {"threshold": 0.4, "precision": 6 / 7, "recall": 0.75}}},
        examples=[Example("<street>.jpg", ["car 0.55 (0.31)"], [])],
    )  # fmt: skip


def cells(html):
    """The tables of a page, as lists of rows of text."""
    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
    parsed = [ElementTree.fromstring(t.replace("&#34;", '"')) for t in tables]
    return [[[c.text or "" for c in r] for r in t.iter("tr")] for t in parsed]


def markdown_tables(text):
    blocks = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    split = [[re.split(r" \| ", line[2:-2]) for line in b.splitlines()] for b in blocks]
    return [[[c.strip("*") for c in r] for r in b if not r[0].startswith("--")] for b in split]


def test_page_markdown_and_json_say_the_same(report, tmp_path):
    write_report(report, [(b"left", b"right")], tmp_path)
    html = (tmp_path / "report.html").read_text()
    text = (tmp_path / "report.md").read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    assert msgspec.convert(content, Report).rows[1].metrics.ap50 == 0.795
    assert cells(html)[0] == markdown_tables(text)[0]
    summary = {line[0]: line for line in cells(html)[0]}
    for entry in content["rows"]:
        if entry["metrics"]:
            assert summary[entry["name"]][2] == f"{entry['metrics']['ap50']:.3f}"
    assert summary["int8-mse"][6] == "123.4"
    assert summary["int16x8"][1] == "failed"
    for said in ("Take int8: it is fast.", "int16x8 failed: the detector cannot take INT16",
                 "Nothing was trained.", "Something: absent.", "not of a Pi", "1 ADD"):  # fmt: skip
        assert said in html.replace("&#39;", "'")
        assert said in text


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(report, tmp_path):
    write_report(report, [(b"left", b"right")], tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "@import" not in html
    assert html.count("data:image/jpeg;base64,") == 2
    assert "op &lt;CONV_2D&gt; &amp; version 9" in html
    assert "&lt;street&gt;.jpg" in html
    assert html.count("<svg ") == 2
    assert "prefers-color-scheme: dark" in html


def test_without_photos_the_examples_are_named_only(report, tmp_path):
    write_report(report, [], tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "data:image" not in html
    assert "car 0.55 (0.31)" in html
    assert "car 0.55 (0.31)" in (tmp_path / "report.md").read_text()


def test_the_figures_are_pictures_on_their_own(report, tmp_path):
    write_report(report, [], tmp_path)
    for name in ("pareto", "drop"):
        picture = (tmp_path / f"report-{name}.svg").read_text()
        assert "currentColor" not in picture
        ElementTree.fromstring(picture)
        assert f"](report-{name}.svg)" in (tmp_path / "report.md").read_text()


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    """A network of chance, exported; its smallest scores are detections."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("float") / "float32.tflite"
    export_float(SSDLite(NetworkSpec(2, input_size=128, width=0.35)), path)
    return path


def test_macs_are_those_of_the_convolutions(float_model):
    model = flatbuffer_utils.read_model(str(float_model))
    graph = Graph(model)
    assert graph_facts(float_model).macs == count_macs(graph)
    first = graph.subgraph.operators[0]
    assert graph.code(first) == schema.BuiltinOperator.CONV_2D
    graph.subgraph.operators = [first]
    # 64 x 64 outputs of 16 channels from 3 x 3 x 3 inputs.
    assert count_macs(graph) == 64 * 64 * 16 * 27


def test_what_xnnpack_does_not_take_is_named(float_model, shared):
    # It concatenates five tensors at most, and the network has seven maps.
    assert set(graph_facts(float_model).not_delegated) == {"CONCATENATION"}
    legacy = shared / "reference/ssd_mobilenet_v1_coco_uint8_postprocess.tflite"
    facts = graph_facts(legacy)
    assert facts.not_delegated["TFLite_Detection_PostProcess"] == 1
    assert "CONV_2D" not in facts.not_delegated


def test_instructions_that_cannot_be_counted_say_why(float_model, tmp_path):
    counts, reason = count_instructions({"float32": float_model}, tmp_path, tmp_path / "none")
    assert counts == {}
    assert "not measured" in reason


def test_a_run_measures_what_works_and_shows_what_does_not(data, float_model, tmp_path):
    broken, same = tmp_path / "broken.tflite", tmp_path / "same.tflite"
    broken.write_bytes(b"nothing")
    same.write_bytes(float_model.read_bytes())
    command = ["report", "--data", str(data), "--float", str(float_model), "--rounds", "2",
               "--recipes", "weight-only-int8", "qat", "--photos", "5", "--out", str(tmp_path),
               "--extra", f"broken={broken}", "--extra", f"same={same}"]  # fmt: skip
    assert main([*command, "--arm64", str(tmp_path)]) == 0
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report)
    models = {r.name: r for r in report.rows}
    assert list(models) == ["float32", "weight-only-int8", "qat", "broken", "same"]
    assert (report.photos, report.photos_in_set) == (5, 8)
    assert "--extra qat=FILE.tflite" in models["qat"].failure
    assert "not a .tflite file" in models["broken"].failure
    assert models["weight-only-int8"].bytes < 0.5 * models["float32"].bytes
    assert models["same"].ap50_drop == Interval(0, 0, 0)
    assert models["same"].changes == Changes(0, 0, 0)
    assert models["float32"].time.ratio == 1
    assert {t.threads for t in models["same"].latency} == {
        t.threads for t in models["float32"].latency
    }
    titles = re.findall("<h2>(.*?)</h2>", (tmp_path / "report.html").read_text())
    assert titles == re.findall("^## (.*)$", (tmp_path / "report.md").read_text(), re.MULTILINE)
    assert len(titles) == 8


def test_photos_of_other_places_are_measured_by_source(data, float_model, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    content = json.loads((root / "val.json").read_text())
    for image in content["images"]:
        image["source"] = "odd" if image["id"] % 2 else "even"
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] > 2]
    (root / "far.json").write_text(json.dumps(content))
    shutil.copytree(root / "val", root / "far")
    command = ["report", "--data", str(root), "--float", str(float_model), "--rounds", "2",
               "--recipes", "weight-only-int8", "--classes", "person,car",
               "--out", str(tmp_path), "--arm64", str(tmp_path)]  # fmt: skip
    assert main(command) == 0
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report)
    for model in report.rows:
        assert model.elsewhere.empty_photos == 2
        assert set(model.elsewhere.sources) == {"odd", "even"}
        assert set(model.sources) == {"drawn"}
    text = (tmp_path / "report.md").read_text()
    assert "## On photos of other places" in text
    assert "| odd (other) |" in text


def test_a_float_model_that_cannot_be_used_ends_the_run(data, tmp_path, capsys):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    command = ["report", "--data", str(data), "--out", str(tmp_path), "--float", str(broken)]
    assert main(command) == 65
    assert "not a .tflite file" in capsys.readouterr().err
    assert main([*command, "--extra", f"mine={tmp_path / 'none.tflite'}"]) == 65
    assert "none.tflite: no such file" in capsys.readouterr().err
