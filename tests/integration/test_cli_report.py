"""``pi-detector report`` on the logs of a made-up fleet, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import command
import pytest
from field_records import performance, write_log
from where import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "benchmarks"))

from field_logs import START, Truth, histogram_of, write_fleet

from pi_detector.telemetry.histogram import Histogram
from pi_detector.util.installation import how_to_install

pi_detector = partial(command.pi_detector, timeout_s=110)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Truth]]:
    folder = tmp_path_factory.mktemp("fleet")
    return folder, write_fleet(folder, devices=5, days=1, seed=5)


@pytest.fixture(scope="module")
def told(fleet: tuple[Path, dict[str, Truth]]) -> dict[str, object]:
    done = pi_detector("report", fleet[0], "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def seconds(text: str) -> float:
    return (datetime.fromisoformat(text) - START).total_seconds()


def by_device(told: dict[str, object], what: str, name: str) -> list[dict[str, object]]:
    return [row for row in told[what] if row["device"] == name]  # type: ignore[attr-defined]


def test_the_report_tells_what_happened(
    fleet: tuple[Path, dict[str, Truth]], told: dict[str, object]
) -> None:
    truths = fleet[1]
    assert sum(len(truth.reboots) for truth in truths.values()) >= 2
    assert sum(len(truth.restarts) for truth in truths.values()) >= 2
    assert sum(len(truth.outages) for truth in truths.values()) >= 1
    assert sum(len(truth.episodes) for truth in truths.values()) >= 10
    summaries = {summary["name"]: summary for summary in told["devices"]}  # type: ignore[attr-defined]
    for name, truth in truths.items():
        summary = summaries[name]
        for kind in ("captured", "processed", "replaced"):
            assert summary[kind] == truth.frames[kind]
        assert sum(summary["unseen"].values()) == truth.frames["unseen"]
        starts = by_device(told, "starts", name)
        # The fourth has no time server: its clock is wrong, and so are times in the report.
        late_s = 2.0 if name != "pi-04" else 86400.0
        for kind, moments in (("boot", truth.reboots), ("program", truth.restarts)):
            found = [seconds(row["time"]) for row in starts if row["kind"] == kind]  # type: ignore[arg-type]
            assert found == pytest.approx(moments, abs=late_s)
        if name == "pi-04":
            continue
        gaps = by_device(told, "gaps", name)
        assert [(seconds(g["begin"]), g["length_s"]) for g in gaps] == [  # type: ignore[arg-type]
            pytest.approx((begin, end - begin), abs=2) for begin, end in truth.outages
        ]
        episodes = [
            (e["condition"], seconds(e["begin"]), e["length_s"])  # type: ignore[arg-type]
            for e in by_device(told, "episodes", name)
        ]
        expected = [(what, begin, end - begin) for what, begin, end in truth.episodes]
        assert [e[0] for e in sorted(episodes)] == [e[0] for e in sorted(expected)]
        for row, true in zip(sorted(episodes), sorted(expected), strict=True):
            assert row[1:] == pytest.approx(true[1:], abs=2)


def test_a_device_without_sensors_tells_nothing_of_them(told: dict[str, object]) -> None:
    (blind,) = [s for s in told["devices"] if s["name"] == "pi-03"]  # type: ignore[attr-defined]
    assert blind["throttling"] == {}
    assert blind["sensors"]["celsius_max"] is None


def test_the_generator_counts_as_the_meter_does() -> None:
    import numpy as np

    values = np.random.default_rng(1).lognormal(3, 1, 1000)
    slow = Histogram()
    for value in values:
        slow.add(float(value))
    assert histogram_of(values).buckets() == slow.buckets()


class Outline(HTMLParser):
    """Checks that tags are closed, and collects what a page refers to."""

    EMPTY = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
                self.addresses.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else(
    fleet: tuple[Path, dict[str, Truth]], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    logs = [fleet[0] / name for name in ("pi-01", "pi-02")]
    done = pi_detector("report", *logs, "--html", page, "--compare", "pi-01", "pi-02")
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    outline = Outline()
    outline.feed(text)
    outline.close()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert all(address.startswith("#") for address in outline.addresses)
    assert {address[1:] for address in outline.addresses} <= set(outline.ids)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert text.count("<svg") == 3 + 2
    assert "Under-voltage" in text
    assert "pi-02" in done.stdout
    assert page.as_uri() in done.stdout


def test_names_of_devices_are_text_and_not_html(tmp_path: Path) -> None:
    for name in ("<b>bold", "$x^2$ & 'co'"):
        write_log(tmp_path / "logs" / name / "records.jsonl", [performance(60), performance(120)])
    page = tmp_path / "page.html"
    done = pi_detector("report", tmp_path / "logs", "--html", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "<b>bold" not in text
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert "$x^2$" in text


@pytest.mark.parametrize("package", ["duckdb", "jinja2", "matplotlib"])
def test_a_missing_extra_is_named_with_the_fix(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    done = pi_detector("report", tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == os.EX_UNAVAILABLE
    assert "Traceback" not in done.stderr
    assert f"install them with: {how_to_install('report')}" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--against", "2026-10-05..2026-10-06"], os.EX_USAGE, "--against overlaps"),
        (["--against", "yesterday"], os.EX_USAGE, "not two times"),
        (["--compare", "pi-01", "pi-99"], os.EX_USAGE, "no device pi-99"),
        (["--since", "2030-01-01"], os.EX_NOINPUT, "no performance records"),
        (["--since", "today", "--until", "yesterday"], os.EX_USAGE, "--since: not before --until"),
        (["--html", "/nowhere/page.html"], os.EX_IOERR, "/nowhere/page.html"),
    ],
)
def test_errors_name_the_fix(
    fleet: tuple[Path, dict[str, Truth]], options: list[str], code: int, words: str
) -> None:
    done = pi_detector("report", fleet[0] / "pi-01", fleet[0] / "pi-02", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


def test_a_file_with_faults_is_told_and_the_rest_reported(tmp_path: Path) -> None:
    path = write_log(tmp_path / "records-000001.jsonl", [performance(60), performance(120)])
    path.write_bytes(path.read_bytes()[:-50])
    (tmp_path / "records-000002.jsonl.zst").write_bytes(b"no zstd")
    done = pi_detector("report", tmp_path, "--json", "-")
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    assert (files["records"], files["half_lines"]) == ({"performance": 1}, 1)
    assert list(files["faults"]) == [str(tmp_path / "records-000002.jsonl.zst")]


def test_the_program_without_the_command_imports_none_of_it() -> None:
    program = (
        "import sys; import pi_detector.cli.main, pi_detector.daemon.service; "
        "print(sorted({'duckdb', 'jinja2', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
