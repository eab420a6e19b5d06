"""A folder of recordings that somebody else made: nothing in it leads outside."""

from __future__ import annotations

import os
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from recorded import DAY, everything, ids, record_many, rows, started_sink

from pi_detector.cli.main import main
from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.catalogue import delete_event, keep_event
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index, IndexDamagedError
from pi_detector.sinks.recordings.layout import read_sidecar

OUTSIDE = "../.bashrc"
PRECIOUS = "precious"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Path]:
    """A USB stick with two events, in a folder in which a file is that nobody may touch."""
    root = tmp_path / "usb" / "recordings"
    record_many(root, ["car", "car"], snapshots=True)
    for folder in (tmp_path, root.parent):
        (folder / ".bashrc").write_text(f"{PRECIOUS} {folder}")
    yield root
    for folder in (tmp_path, root.parent):
        assert (folder / ".bashrc").read_text() == f"{PRECIOUS} {folder}"


def tampered(root: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as database:
        for statement, values in statements:
            database.execute(statement, values)


def naming(root: Path, path: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements after which event e0 claims to have a file of this path."""
    entry = read_sidecar(root, f"{DAY}/e0")
    assert entry is not None
    files = (msgspec.structs.replace(entry.files[0], path=path),)
    encoded = msgspec.json.encode(msgspec.structs.replace(entry, files=files))
    return [
        ("UPDATE events SET entry = ? WHERE id = 'e0'", (encoded,)),
        ("INSERT OR REPLACE INTO files VALUES (?, 1)", (path,)),
        (
            "INSERT OR REPLACE INTO event_files SELECT number, ? FROM events WHERE id = 'e0'",
            (path,),
        ),
    ]


def run(*args: object) -> int:
    return main(["events", *map(str, args)])


def copied(target: Path) -> list[str]:
    """The names of what an export made."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target) as archive:
            return sorted(archive.namelist())
    if target.suffix == ".tar":
        with tarfile.open(target) as archive:
            return sorted(archive.getnames())
    return list(everything(target))


@pytest.mark.parametrize(
    "path", [OUTSIDE, "/etc/hostname", f"{DAY}/../../../../.bashrc", ".bashrc"]
)
@pytest.mark.parametrize("to", ["out", "out.zip", "out.tar"])
def test_an_export_copies_only_from_and_to_its_folders(
    stick: Path, tmp_path: Path, path: str, to: str
) -> None:
    tampered(stick, *naming(stick, path))
    assert run("export", "--folder", stick, "--to", tmp_path / to) == 0
    assert {name.name for name in tmp_path.iterdir()} == {"usb", ".bashrc", to}
    ends = (".clean.jpg", ".jpg", ".thumb.jpg")
    expected = [*(f"{DAY}/e1{end}" for end in ends), "events.csv", "events.json"]
    assert copied(tmp_path / to) == expected


@pytest.mark.parametrize("action", [("list", "--json"), ("show", "e1"), ("list",)])
def test_a_row_that_is_not_ours_is_left_out_of_lists(
    stick: Path, action: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    tampered(stick, *naming(stick, OUTSIDE))
    assert run(*action, "--folder", stick) == 0
    shown = capsys.readouterr().out
    assert "e1" in shown
    assert "bashrc" not in shown


def test_a_file_that_is_a_link_is_not_copied(stick: Path, tmp_path: Path) -> None:
    picture = stick / DAY / "e0.jpg"
    picture.unlink()
    picture.symlink_to("/etc/hostname")
    clean = stick / DAY / "e0.clean.jpg"
    clean.unlink()
    os.mkfifo(clean)
    for to in ("out", "out.zip", "out.tar"):
        assert run("export", "--folder", stick, "--to", tmp_path / to) == 0
        names = copied(tmp_path / to)
        assert f"{DAY}/e0.thumb.jpg" in names
        assert f"{DAY}/e0.jpg" not in names
        assert f"{DAY}/e0.clean.jpg" not in names


def test_a_day_that_is_a_link_is_not_entered(stick: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (stick / DAY).rename(elsewhere)
    (stick / DAY).symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    assert run("export", "--folder", stick, "--to", tmp_path / "out") == 0
    assert list(everything(tmp_path / "out")) == ["events.csv", "events.json"]
    with pytest.raises(SinkError), closing(Index(stick, write=True)) as index:
        keep_event(stick, index, f"{DAY}/e1", True)
    with closing(Index(stick, write=True)) as index:
        delete_event(stick, index, f"{DAY}/e0")
    started_sink(stick, clips=False).close()
    assert sorted(elsewhere.iterdir()) == before
    assert ids(stick) == []


def test_nothing_is_recorded_through_a_link(stick: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (stick / "2027").symlink_to(elsewhere)
    with pytest.raises(OSError, match="Not a directory"):
        confined.make_folder(stick, "2027/01/01")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", [".e0.mp4.part", ".e0.json.part", "e0.keep", "e0.json"])
def test_a_link_in_the_place_of_a_file_is_not_written_through(stick: Path, name: str) -> None:
    victim = stick.parent / ".bashrc"
    link = stick / DAY / name
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    with closing(Index(stick, write=True)) as index:
        if name.endswith(".keep"):
            with pytest.raises(SinkError, match="cannot write"):
                keep_event(stick, index, f"{DAY}/e0", True)
            keep_event(stick, index, f"{DAY}/e0", False)
    started_sink(stick).close()
    assert ids(stick) == ["e0", "e1"]


def test_an_index_or_lock_that_is_a_link_is_refused(stick: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    record_many(other, ["person"])
    (stick / "index.sqlite").unlink()
    (stick / "index.sqlite").symlink_to(other / "index.sqlite")
    with pytest.raises(SinkError, match="a symbolic link"):
        Index(stick)
    (stick / "index.sqlite").unlink()
    (stick / ".lock").unlink()
    (stick / ".lock").symlink_to(tmp_path / "made-by-a-link")
    with pytest.raises(SinkError):
        started_sink(stick)
    assert not (tmp_path / "made-by-a-link").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER DELETE ON events BEGIN UPDATE events SET keep = 1; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE further (x)",
        "ALTER TABLE files ADD COLUMN x",
    ],
)
def test_an_index_with_another_schema_is_damaged(stick: Path, statement: str) -> None:
    tampered(stick, (statement, ()))
    with pytest.raises(IndexDamagedError, match="differs from the schema"):
        Index(stick)
    started_sink(stick, clips=False).close()
    assert ids(stick) == ["e0", "e1"]
    assert (stick / "index.damaged.sqlite").exists()


def test_a_recorder_makes_an_index_with_foreign_rows_again(stick: Path) -> None:
    before = rows(stick)
    tampered(stick, *naming(stick, OUTSIDE), ("UPDATE events SET path = '../.bashrc' "
             "WHERE id = 'e1'", ()))  # fmt: skip
    started_sink(stick, clips=False).close()
    assert rows(stick) == before


_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=40),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.sampled_from([OUTSIDE, "/etc/hostname", f"{DAY}/e0", f"{DAY}/e1.jpg", "x" * 10**6]),
)
_COLUMNS = {
    "events": ("path", "folder", "id", "label", "zones", "started_ms", "ended_ms", "aged_ms",
               "synchronized", "complete", "keep", "entry"),
    "files": ("path", "bytes"),
    "event_files": ("number", "path"),
}  # fmt: skip
_CHANGES = st.lists(
    st.one_of(
        [
            st.tuples(st.just(table), st.sampled_from(columns), _VALUES)
            for table, columns in _COLUMNS.items()
        ]
    ),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=_CHANGES)
def test_whatever_rows_hold_nothing_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, Any]]
) -> None:
    around = tmp_path_factory.mktemp("around")
    root = around / "recordings"
    record_many(root, ["car", "person"])
    (around / ".bashrc").write_text(PRECIOUS)
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as database:
        for table, column, value in changes:
            try:
                database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", [value])
            except sqlite3.IntegrityError:  # no value for that column
                continue
    for wanted in (Filter(), Filter(zones=("door",)), Filter(labels=("car",)), Filter(kept=True)):
        _tolerant(lambda root=root, wanted=wanted: rows(root, **_fields(wanted)))
    for action in (
        ("list", "--json"),
        ("export", "--to", around / "out"),
        ("delete", "--label", "car", "--yes", "--force"),
    ):
        assert run(*action, "--folder", root) in (os.EX_OK, SinkError.exit_code)
    started_sink(root, clips=False, max_gb=1e-9, max_age_days=1).close()
    assert (around / ".bashrc").read_text() == PRECIOUS
    assert {path.name for path in around.iterdir()} <= {"recordings", ".bashrc", "out"}


def _fields(wanted: Filter) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Filter.__slots__}


def _tolerant(action: Callable[[], object]) -> None:
    try:
        action()
    except IndexDamagedError:
        return
