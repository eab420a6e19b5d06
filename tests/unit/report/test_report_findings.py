"""What a report finds in logs that were made by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from field_records import BOOTED_S, START, performance, write_log

from pi_detector.core.readings import ThrottlingFlags
from pi_detector.core.records import PerformanceRecord
from pi_detector.errors import LogNotFoundError
from pi_detector.report.content import Report
from pi_detector.report.findings import report_of
from pi_detector.report.logs import find_logs
from pi_detector.report.notes import duration, notes
from pi_detector.report.store import Period, Store

LOW, FINE = ThrottlingFlags(under_voltage=True), ThrottlingFlags(under_voltage=False)


def after(seconds: float):
    return START + timedelta(seconds=seconds)


def report(
    folder: Path,
    periods: Sequence[Period] = (Period(),),
    compared: tuple[str, str] | None = None,
    **devices: list[PerformanceRecord],
) -> Report:
    for name, records in devices.items():
        write_log(folder / name / "records-000001.jsonl", records)
    with tempfile.TemporaryDirectory() as tables:
        store = Store(Path(tables), find_logs([str(folder)]), periods)
        try:
            return report_of(store, compared)
        finally:
            store.close()


def test_one_record(tmp_path: Path) -> None:
    found = report(tmp_path, a=[performance(60, replaced=3, unseen={"mqtt": 2, "log": 0})])
    (device,) = found.devices
    assert (device.name, device.records, device.captured, device.replaced) == ("a", 1, 4, 3)
    assert device.unseen == {"mqtt": 2}
    assert (device.covered_s, device.silent_s, device.coverage) == (60.0, 0.0, 1.0)
    assert (found.since, found.until) == (after(0), after(60))
    assert device.throttling == {}
    assert notes(found)[0].what.startswith("The model is much slower")


def test_no_performance_records_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match=r"telemetry\.interval_s"):
        report(tmp_path, a=[])


def test_quantiles_are_those_of_all_frames(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    values = [chance.lognormal(3, 0.5, 400) for _ in range(30)]
    records = [performance(60 * (n + 1), invoke_ms=part.tolist()) for n, part in enumerate(values)]
    found = report(tmp_path, a=records[:20], b=records[20:])
    for device, parts in zip(found.devices, (values[:20], values[20:]), strict=True):
        invoke, exact = device.stages_ms["invoke"], np.concatenate(parts)
        assert invoke.count == exact.size
        assert invoke.mean == pytest.approx(exact.mean(), rel=1e-3)
        assert invoke.max == pytest.approx(exact.max(), abs=1e-3)
        for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999")):
            true = np.quantile(exact, share, method="inverted_cdf")
            assert getattr(invoke, name) == pytest.approx(true, rel=0.0101)


def test_an_episode_lasts_until_the_first_record_without(tmp_path: Path) -> None:
    low = {3, 4, 5, 8, 10}
    records = [performance(60 * n, throttling=LOW if n in low else FINE) for n in range(1, 11)]
    found = report(tmp_path, a=records)
    assert [(e.condition, e.begin, e.length_s) for e in found.episodes] == [
        ("under_voltage", after(180), 180.0),
        ("under_voltage", after(480), 60.0),
        ("under_voltage", after(600), 0.0),  # the last record: nothing is known of afterwards
    ]
    met = found.devices[0].throttling
    assert set(met) == {"under_voltage"}
    assert (met["under_voltage"].episodes, met["under_voltage"].total_s) == (3, 240.0)
    assert met["under_voltage"].share == pytest.approx(240 / 600)
    assert notes(found)[0].where == ["a (3 times, 4 min, 40 % of the time)"]


def test_an_episode_ends_at_a_gap(tmp_path: Path) -> None:
    records = [performance(at_s, throttling=LOW) for at_s in (60, 120, 1000, 1060)]
    found = report(tmp_path, a=records)
    assert [(e.begin, e.length_s) for e in found.episodes] == [
        (after(60), 60.0),
        (after(1000), 60.0),
    ]
    assert [(g.begin, g.length_s, g.at_boot) for g in found.gaps] == [(after(120), 820.0, False)]
    assert found.devices[0].silent_s == 820.0


def test_a_pause_shorter_than_two_minutes_is_no_gap(tmp_path: Path) -> None:
    found = report(tmp_path, a=[performance(60), performance(239)])
    assert (found.gaps, found.devices[0].silent_s) == ([], 119.0)


def test_boots_and_starts_of_the_program_are_told_apart(tmp_path: Path) -> None:
    records = [
        performance(60),
        performance(120),
        performance(190, started_s=125),
        performance(250, started_s=125),
        performance(400, booted_s=300, started_s=330, interval_s=70),
    ]
    found = report(tmp_path, a=records)
    assert [(s.kind, s.time, s.silent_s) for s in found.starts] == [
        ("program", after(130), 10.0),
        ("boot", after(330), 80.0),
    ]
    assert (found.devices[0].reboots, found.devices[0].restarts) == (1, 1)


def test_records_without_the_age_of_the_process_tell_of_boots_only(tmp_path: Path) -> None:
    plain = [performance(60), performance(190, started_s=125), performance(400, booted_s=300)]
    path = write_log(tmp_path / "a" / "records.jsonl", plain)
    lines = path.read_bytes().splitlines(keepends=True)
    old = [line[: line.rindex(b',"uptime_s"')] + b'},"version":1}\n' for line in lines]
    path.write_bytes(b"".join(old))
    assert [start.kind for start in report(tmp_path).starts] == ["boot"]


def test_what_a_clock_showed_before_it_was_set_is_corrected(tmp_path: Path) -> None:
    wrong = {"wrong_s": -3600.0, "synchronized": False, "booted_s": 300.0, "started_s": 310.0}
    records = [
        performance(60),
        performance(400, **wrong),
        performance(460, **wrong),
        performance(520, booted_s=300.0, started_s=310.0),
    ]
    found = report(tmp_path, a=records)
    (start,) = found.starts
    assert (start.time, start.silent_s) == (after(340), 280.0)
    assert [(g.begin, g.length_s, g.at_boot) for g in found.gaps] == [(after(60), 280.0, True)]
    assert [(s.time, s.step_s, s.at_set) for s in found.clock_steps] == [(after(520), 3600.0, True)]
    (device,) = found.devices
    assert (device.unsynchronized_s, device.clock_steps) == (120.0, 0)


def test_a_clock_that_was_never_set_leaves_a_silence_unknown(tmp_path: Path) -> None:
    never = {"synchronized": False}
    records = [performance(60, **never), performance(400, booted_s=300.0, **never)]
    found = report(tmp_path, a=records)
    assert [start.silent_s for start in found.starts] == [None]
    assert (found.gaps, found.devices[0].silent_s) == ([], 0.0)


def test_a_clock_that_jumps_is_told(tmp_path: Path) -> None:
    found = report(tmp_path, a=[performance(60), performance(120, wrong_s=-7.5)])
    assert [(step.step_s, step.at_set) for step in found.clock_steps] == [(-7.5, False)]
    assert found.devices[0].clock_steps == 1


def test_periods_are_cut_where_they_are_asked_for(tmp_path: Path) -> None:
    records = [performance(60 * n, invoke_ms=[10.0 if n < 10 else 20.0]) for n in range(1, 20)]
    t = START.timestamp()
    found = report(tmp_path, (Period(t + 600, t + 900), Period(t, t + 300)), a=records)
    comparison = found.comparison
    assert comparison is not None
    assert (comparison.first.records, comparison.second.records) == (4, 5)
    assert comparison.second.name == "2026-11-01 00:10 to 2026-11-01 00:15"
    assert comparison.ratios["invoke_mean_ms"] == pytest.approx(2.0)
    assert comparison.ratios["invoke_p50_ms"] == pytest.approx(2.0, rel=0.02)
    assert comparison.ratios["celsius_mean"] == 1.0
    assert found.devices[0].records == 5


def test_devices_are_compared(tmp_path: Path) -> None:
    found = report(
        tmp_path,
        compared=("a", "b"),
        a=[performance(60, invoke_ms=[40.0])],
        b=[performance(60, invoke_ms=[10.0], celsius=None)],
    )
    assert found.comparison is not None
    assert found.comparison.ratios["invoke_mean_ms"] == 0.25
    assert found.comparison.ratios["celsius_mean"] is None


def test_order_is_that_of_files_whatever_the_clocks_say(tmp_path: Path) -> None:
    write_log(tmp_path / "records-000002.jsonl", [performance(60, booted_s=30.0)])
    write_log(tmp_path / "records-000001.jsonl", [performance(6000, booted_s=BOOTED_S)])
    assert [start.kind for start in report(tmp_path).starts] == ["boot"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (75, "1 min 15 s"), (7261, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
