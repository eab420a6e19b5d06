"""What must hold for a folder of recordings, whenever the last recorder was killed."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

import cv2
from recorded import play, rows, started_sink

from pi_detector.sinks.recordings.layout import is_event_path, is_media_path


def check(folder: Path, done: set[str], seen: dict[str, int]) -> set[str]:
    """Start a recorder on a folder, and see that what it lists is whole.

    Args:
        folder: of the recordings.
        done: ids of events that were on the disk.
        seen: clips that were played before, with their size; added to.

    Returns:
        The ids of the events that are listed.
    """
    started_sink(folder).close()
    with sqlite3.connect(folder / "index.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    listed = rows(folder)
    named = set()
    for row in listed:
        assert row.entry.files, row
        assert row.entry.complete, row
        for media in row.entry.files:
            path = folder / media.path
            named.add(media.path)
            if seen.get(media.path) == path.stat().st_size:
                continue
            seen[media.path] = path.stat().st_size
            if media.kind == "clip":
                _check_clip(path, media.duration_s)
            else:
                assert cv2.imread(str(path)) is not None, path
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith(".part")]
    assert {name for name in files if is_media_path(name)} == named
    sidecars = {
        path
        for name in files
        if name.endswith(".json") and is_event_path(path := name.removesuffix(".json"))
    }
    assert sidecars == {row.entry.path for row in listed}
    ids = {row.entry.event.id for row in listed}
    assert done <= ids, f"lost: {sorted(done - ids)}"
    return ids


def _check_clip(path: Path, duration_s: float | None) -> None:
    shown = play(path)
    assert shown.numbers, path
    assert all((later - earlier) % 4096 == 1 for earlier, later in pairwise(shown.numbers)), path
    assert all(later > earlier for earlier, later in pairwise(shown.times_s)), path
    assert duration_s is not None, path
    assert abs(duration_s - shown.times_s[-1]) <= 0.15, path
