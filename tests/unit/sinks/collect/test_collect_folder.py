"""The folder of collected frames stays within its limits, and spread over the hours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pi_detector.errors import SinkError
from pi_detector.sinks.collect.folder import Folder, Note, read_note, stems_of

NOTE = Note(
    time=datetime(2026, 11, 24, 2, 3, 4, tzinfo=UTC),
    source="demo",
    reason="doubtful",
    width=8,
    height=6,
)


def stem(hour: int, number: int) -> str:
    return f"20261124T{hour:02}{number:02}00.000Z-{number:06}-demo"


def fill(folder: Folder, hours: dict[int, int], data: bytes = b"jpeg") -> None:
    for hour, count in hours.items():
        for number in range(count):
            folder.add(stem(hour, number), data, NOTE)


def test_the_hour_with_most_frames_gives_way(tmp_path: Path) -> None:
    folder = Folder(tmp_path, max_frames=6, max_bytes=10**6)
    fill(folder, {1: 2, 2: 9, 3: 2})
    left = stems_of(tmp_path)
    assert len(left) == len(folder) == 6
    assert [s[9:11] for s in left] == ["01", "01", "02", "02", "03", "03"]
    assert left[2:4] == [stem(2, 7), stem(2, 8)], "the oldest of that hour went"
    assert len(list(tmp_path.iterdir())) == 12


def test_bytes_are_limited_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path, max_frames=100, max_bytes=5000)
    fill(folder, {1: 9}, b"x" * 1000)
    assert folder.total_bytes <= 5000
    assert 2 <= len(folder) <= 4
    assert folder.total_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_earlier_frames_count_and_files_of_others_stay(tmp_path: Path) -> None:
    fill(Folder(tmp_path, 100, 10**6), {1: 5})
    (tmp_path / "mine.jpg").write_text("mine")
    (tmp_path / f"{stem(2, 0)}.jpg").write_bytes(b"without a note")
    folder = Folder(tmp_path, max_frames=3, max_bytes=10**6)
    assert len(folder) == 3
    assert (tmp_path / "mine.jpg").exists()
    assert stem(2, 0) not in stems_of(tmp_path)


def test_notes_that_are_damaged_or_links_are_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 100, 10**6)
    folder.add(stem(1, 0), b"jpeg", NOTE)
    assert read_note(tmp_path, stem(1, 0)) == NOTE
    note = tmp_path / f"{stem(1, 0)}.json"
    note.write_bytes(note.read_bytes()[:-9])
    assert read_note(tmp_path, stem(1, 0)) is None
    note.unlink()
    note.symlink_to("/etc/hostname")
    assert read_note(tmp_path, stem(1, 0)) is None


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="nowhere"):
        stems_of(tmp_path / "nowhere")
