"""Clips that were cut off: at any byte, with anything behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from recorded import DAY, Camera, clips, everything, play, rows, short_event, started_sink

from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import reconcile as reconcile_module
from pi_detector.sinks.recordings.clipfile import BATCH_BYTES, ClipFile
from pi_detector.sinks.recordings.layout import read_sidecar, write_sidecar
from pi_detector.sinks.recordings.salvage import played_s, salvage, whole_fragments


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of two shared events."""
    folder = tmp_path_factory.mktemp("recorded")
    sink = started_sink(folder)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("other", "new", 2)
    short_event(camera, "a", seconds=2)
    camera.tell("other", "end", 2, reason="gone")
    sink.close()
    return folder


@pytest.fixture(scope="module")
def clip(recorded: Path) -> bytes:
    return (recorded / DAY / "other.mp4").read_bytes()


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_whatever_is_left_of_a_clip_plays_or_is_deleted(
    tmp_path: Path, clip: bytes, data: st.DataObject
) -> None:
    """A file system may leave zeros or old data where a file's end was not written."""
    cut = data.draw(st.integers(0, len(clip)))
    tail = data.draw(
        st.sampled_from([b"", bytes(5000), bytes(len(clip) - cut), os.urandom(5000), clip[:300]])
    )
    part, path = tmp_path / ".x.mp4.part", tmp_path / "x.mp4"
    path.unlink(missing_ok=True)
    part.write_bytes(clip[:cut] + tail)
    starts, _ = whole_fragments(part)
    whole = clip[:cut].count(b"moof") and [start for start in starts if start < cut]
    seconds = salvage(part, path)
    assert not part.exists()
    if seconds is None:
        assert not path.exists()
        assert cut < 11_000, "more than the first fragment was there"
        return
    shown = play(path)
    assert shown.numbers == list(range(shown.numbers[0], shown.numbers[-1] + 1))
    assert seconds == pytest.approx(len(shown.numbers) / 10, abs=0.15)
    assert played_s(path) == seconds
    if not tail:
        assert len(shown.numbers) >= 10 * (len(whole or []) - 1) + 1


def test_a_clip_that_lacks_only_its_name_is_kept_whole(tmp_path: Path, clip: bytes) -> None:
    part, path = tmp_path / ".x.mp4.part", tmp_path / "x.mp4"
    part.write_bytes(clip)
    whole = played_s(part)
    assert salvage(part, path) == whole


@pytest.mark.parametrize("junk", [b"", b"\0" * 10_000, b"ftyp", b"\0\0\0\x08moof\0\0\0\x08mdat"])
def test_what_never_was_a_clip_is_deleted(tmp_path: Path, junk: bytes) -> None:
    part = tmp_path / ".x.mp4.part"
    part.write_bytes(junk)
    assert salvage(part, tmp_path / "x.mp4") is None
    assert list(tmp_path.iterdir()) == []


def cut_off(folder: Path, clip: bytes, length: int) -> None:
    """What a power cut leaves of the recordings of ``recorded``."""
    (folder / DAY / "other.mp4").unlink(missing_ok=True)
    (folder / DAY / ".other.mp4.part").write_bytes(clip[:length])
    for name in ("a", "other"):
        entry = read_sidecar(folder, f"{DAY}/{name}")
        assert entry is not None
        from msgspec.structs import replace

        event = replace(entry.event, phase="update", reason=None)
        files = (replace(entry.files[0], duration_s=None), *entry.files[1:])
        write_sidecar(folder, replace(entry, event=event, files=files, complete=False))


def test_a_start_after_a_power_cut_brings_back_what_was_recorded(
    recorded: Path, tmp_path: Path, clip: bytes
) -> None:
    import shutil

    folder = tmp_path / "r"
    shutil.copytree(recorded, folder)
    cut_off(folder, clip, len(clip) * 2 // 3)
    (folder / "index.sqlite").unlink()
    leftovers = [".a.jpg.part", ".a.json.part", ".b.thumb.jpg.part"]
    for name in leftovers:
        (folder / DAY / name).write_text("half")
    started_sink(folder).close()
    names = list(everything(folder))
    assert not [name for name in names if name.endswith(".part")]
    for row in rows(folder):
        assert row.entry.interrupted
        assert row.entry.complete
        assert clips(row) == [f"{DAY}/other.mp4"]
        seconds = row.entry.files[0].duration_s
        assert seconds == played_s(folder / DAY / "other.mp4")
        assert seconds is not None
        assert seconds > 1


def test_events_of_a_clip_of_which_nothing_is_left_keep_their_pictures(
    recorded: Path, tmp_path: Path, clip: bytes
) -> None:
    import shutil

    folder = tmp_path / "r"
    shutil.copytree(recorded, folder)
    cut_off(folder, clip, 500)
    for path in (folder / DAY).glob("other.*jpg"):
        path.unlink()
    (folder / "index.sqlite").unlink()
    started_sink(folder).close()
    (a,) = rows(folder)
    assert [media.kind for media in a.entry.files] == ["thumbnail", "snapshot", "clean"]
    assert not (folder / DAY / "other.json").exists()


def test_without_pyav_an_unfinished_clip_waits(
    recorded: Path, tmp_path: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    folder = tmp_path / "r"
    shutil.copytree(recorded, folder)
    cut_off(folder, clip, len(clip) - 100)
    monkeypatch.setattr(reconcile_module, "can_salvage", lambda: False)
    started_sink(folder, clips=False).close()
    assert (folder / DAY / ".other.mp4.part").exists()
    monkeypatch.undo()
    started_sink(folder).close()
    assert play(folder / DAY / "other.mp4").numbers


def test_a_clip_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    file = ClipFile(tmp_path / "x.mp4")
    for _ in range(100):
        file.write(bytes(BATCH_BYTES // 10))
    file.finish()
    assert (tmp_path / "x.mp4").stat().st_size == BATCH_BYTES // 10 * 100
    assert len(synced) <= 12


def test_a_clip_never_takes_the_place_of_another_file(tmp_path: Path) -> None:
    file = ClipFile(tmp_path / "x.mp4")
    file.write(b"a clip")
    (tmp_path / "x.mp4").write_text("appeared meanwhile")
    with pytest.raises(SinkError, match="exists already"):
        file.finish()
    assert (tmp_path / "x.mp4").read_text() == "appeared meanwhile"
    other = ClipFile(tmp_path / "x.mp4")
    with pytest.raises(SinkError, match="cannot write: File exists"):
        other.write(b"another")
