"""What benchmarks compute from what they measured."""

import numpy as np
import pytest

from benchmarks.compare import table
from benchmarks.comparison import BARE, OURS, Comparison, Entry, ratio
from benchmarks.contenders.classic import Classic
from benchmarks.contenders.common import RateLimit
from benchmarks.goals import Goal, rounds_of
from benchmarks.goals import table as goals_table
from benchmarks.instructions import root_of
from pi_detector.bench.frames import MemorySource, load_frames
from pi_detector.bench.machine import machine_of, observe
from pi_detector.bench.results import figure_of
from pi_detector.config.settings import ModelSettings
from pi_detector.core.clock import utc_now
from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector


def comparison(**cpu_ms):
    """A comparison of contenders whose figures are all the same; none measured without any."""
    names = ("cpu_ms", "fps", "latency_ms", "peak_rss_mb", "start_s")
    entries = [
        Entry(name, {figure: figure_of(values) for figure in names} if values else {})
        for name, values in cpu_ms.items()
    ]
    now = observe()
    return Comparison(utc_now(), machine_of(now, now), [], "clip.mp4", 1, 3, 30, 10.0, entries)


def test_the_loop_of_the_tutorials_finds_what_the_detector_finds():
    model = ModelSettings(threads=1)
    bundle = load_model(model)
    manifest, tflite = bundle.path / "manifest.toml", bundle.path / "model.tflite"
    classic = Classic(str(tflite), 1, str(manifest))
    detector = Detector(bundle)
    image = load_frames("", (640, 480))[0]
    expected, _, _ = detector.run(detector.prepare(MemorySource([image]).read()))
    found = classic.step(np.ascontiguousarray(image[:, :, ::-1]))
    assert len(found) == len(expected) > 0
    boxes = np.array([box for _, _, box in found], np.float32) * [640, 480, 640, 480]
    overlap = pairwise_iou(expected.xyxy, boxes.astype(np.float32))
    assert (overlap.max(axis=1) > 0.8).all()
    nearest = [found[i] for i in overlap.argmax(axis=1)]
    assert [label for label, _, _ in nearest] == [detector.labels[i] for i in expected.class_id]
    scores = [float(score) for _, score, _ in nearest]
    assert scores == pytest.approx(expected.score.tolist(), abs=1e-3)


def test_the_ratio_has_the_quartiles_of_the_rounds_and_the_medians_quotient():
    # The machine was half as fast in the last round: in no ratio of a round.
    found = ratio(figure_of([20.0, 22.0, 44.0]), figure_of([10.0, 11.0, 22.0]))
    assert (found.median, found.q1, found.q3) == (2.0, 2.0, 2.0)
    assert found.rounds == [2.0, 2.0, 2.0]


def test_the_table_says_what_was_not_measured():
    rows = table(comparison(**{OURS: [20.0], BARE: [10.0], "other": []})).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].endswith("| 1 (1 to 1) |")
    assert rows[3].endswith("| 0.5 (0.5 to 0.5) |")
    assert rows[4].startswith("| other | not measured |")


@pytest.mark.parametrize(
    ("sign", "value", "verdict"),
    [("<=", 1.0, "met"), ("<=", 1.01, "missed"), (">=", 1.0, "met"), (">=", 0.99, "missed")],
)
def test_a_goal_is_met_or_missed(sign, value, verdict):
    goal = Goal("part", "words", sign, 1.0, figure_of([value]))
    assert goal.verdict == verdict
    assert f"| {verdict} |" in goals_table([goal])


def test_a_goal_without_a_figure_is_not_met():
    goal = Goal("part", "words", "<=", 1.0, None)
    assert goal.verdict == "not measured"
    assert "| not measured |" in goals_table([goal])


def test_rounds_go_forwards_and_backwards_after_one_that_does_not_count():
    order = []

    def case(name):
        def once():
            order.append(name)
            return {"figure": float(len(order))}

        return once

    found = rounds_of({"a": case("a"), "b": case("b")}, 2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert found["a"]["figure"].rounds == [3.0, 6.0]
    assert found["b"]["figure"].rounds == [4.0, 5.0]


def test_a_pace_of_zero_does_not_wait(monkeypatch):
    def sleep(_):
        raise AssertionError("waited")

    monkeypatch.setattr("time.sleep", sleep)
    RateLimit(0).wait()


@pytest.fixture
def arm64(tmp_path):
    """What ``tests/system/arm64/run.sh`` leaves, in small."""
    arm64 = tmp_path / "before/arm64"
    for folder in ("root/proc", "root/tmp", "root/usr/bin", "site/cv2"):
        (arm64 / folder).mkdir(parents=True)
    (arm64 / "root/bin").symlink_to("usr/bin")
    (arm64 / "root/proc/cpuinfo").write_text("of run.sh\n")
    (arm64 / "root/usr/bin/python3").write_text("python\n")
    return arm64


def test_the_emulated_debian_has_the_cpuinfo_of_its_processor(arm64):
    for _ in range(2):
        work = root_of("cortex-a76", arm64)
    assert "CPU part\t: 0xd0b" in (work / "root/proc/cpuinfo").read_text()
    assert "asimddp" in (work / "root/proc/cpuinfo").read_text()
    assert (work / "root/bin/python3").samefile(arm64 / "root/usr/bin/python3")
    assert (work / "site").samefile(arm64 / "site")
    assert (arm64 / "root/proc/cpuinfo").read_text() == "of run.sh\n"


def test_no_folder_of_the_emulated_debian_is_a_link_that_the_original_does_not_have(arm64):
    """QEMU lets a program see them: through a linked /tmp it loses a checkout in /tmp."""
    root = root_of("cortex-a72", arm64) / "root"
    assert [path.name for path in root.iterdir() if path.is_symlink()] == ["bin"]


def test_the_emulated_debian_survives_a_move_of_the_checkout(arm64, tmp_path):
    root_of("cortex-a72", arm64)
    moved = tmp_path / "after"
    (tmp_path / "before").rename(moved)
    work = moved / "arm64/cortex-a72"
    assert (work / "root/bin/python3").read_text() == "python\n"
    assert (work / "site/cv2").is_dir()
    assert (root_of("cortex-a72", moved / "arm64") / "site/cv2").is_dir()
