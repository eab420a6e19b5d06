from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.bench import machine
from pi_detector.bench.results import (
    Case,
    Machine,
    Report,
    compare,
    differences,
    figure_of,
    load_report,
    save_report,
)
from pi_detector.errors import BadBenchmarkError

MACHINE = Machine("a board", "6.12", 4, "3.11.2", {}, None, None, None, None, None, None, [])


def report(threads: int = 1, **figures: list[float]) -> Report:
    made = {name: figure_of(rounds) for name, rounds in figures.items()}
    case = Case("street", "0" * 64, "litert", threads, 640, 480, made)
    now = datetime(2026, 11, 25, tzinfo=UTC)
    return Report("0.1.0", now, MACHINE, 5, 30, "demo", [], [case])


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=40))
def test_a_figure_is_median_and_quartiles(rounds: list[float]) -> None:
    figure = figure_of(rounds)
    assert figure.median == pytest.approx(statistics.median(rounds), rel=1e-4)
    assert len(figure.rounds) == len(rounds)
    assert figure.q1 <= figure.median <= figure.q3
    assert min(rounds) * 0.9999 <= figure.q1
    assert figure.q3 <= max(rounds) * 1.0001


@pytest.mark.parametrize(
    ("figure", "old", "new", "ratio", "verdict"),
    [
        ("invoke_ms", [10, 10, 11, 10, 9], [20, 20, 21, 20, 19], 2.0, "worse"),
        ("invoke_ms", [20, 20, 21, 20, 19], [10, 10, 11, 10, 9], 0.5, "better"),
        ("pipeline_fps", [10, 10, 11, 10, 9], [20, 20, 21, 20, 19], 2.0, "better"),
        ("pipeline_fps", [20, 20, 21, 20, 19], [10, 10, 11, 10, 9], 0.5, "worse"),
        ("invoke_ms", [8, 9, 10, 11, 12], [9, 10, 11, 12, 13], 1.1, "within the noise"),
        ("peak_rss_mb", [90.0] * 5, [90.5] * 5, 90.5 / 90, "within the noise"),
        ("invoke_ms", [10.0], [20.0], 2.0, "too few rounds"),
    ],
)
def test_a_difference_counts_when_it_is_more_than_noise(
    figure: str, old: list[float], new: list[float], ratio: float, verdict: str
) -> None:
    (row,) = compare(report(**{figure: new}), report(**{figure: old}))
    assert (row.figure, row.verdict) == (figure, verdict)
    assert row.ratio == pytest.approx(ratio)


def test_only_what_both_have_is_compared() -> None:
    assert compare(report(1, a=[1.0], b=[1.0]), report(2, a=[1.0])) == []
    (row,) = compare(report(1, a=[1.0], b=[1.0]), report(1, b=[1.0], c=[1.0]))
    assert row.figure == "b"


def test_another_machine_is_told() -> None:
    other = msgspec.structs.replace(MACHINE, cores=2, governor="powersave")
    assert differences(other, MACHINE) == ["cores was 4, is 2", "governor was None, is powersave"]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    written = report(invoke_ms=[1.23456789, 2, 3])
    save_report(written, file)
    assert load_report(file) == written


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"format": "pi-detector bench 2"}'])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(BadBenchmarkError, match="not a result"):
        load_report(file)


def test_what_speaks_against_measuring_is_told() -> None:
    fit = machine.Moment(1500.0, 50.0, 0.1, [])
    assert machine.warnings_before(fit, "performance", 4) == []
    assert machine.warnings_before(machine.Moment(None, None, None, []), None, 4) == []
    unfit = machine.Moment(600.0, 82.0, 3.0, ["throttled"])
    found = " ".join(machine.warnings_before(unfit, "ondemand", 4))
    for words in ("ondemand", "82 °C", "throttled", "load 3.0"):
        assert words in found
    assert "from 1500 to 600 MHz" in " ".join(machine.warnings_after(fit, unfit))
    assert machine.warnings_after(fit, fit) == []


def test_quartiles_of_equal_rounds_are_equal() -> None:
    figure = figure_of([math.pi] * 7)
    assert figure.q1 == figure.median == figure.q3
