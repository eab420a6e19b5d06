"""The encoder: which one, what it costs in bits, and what is said when none works."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from recorded import Camera, drawn, play, rows, settings, short_event

from pi_detector.core.frame import Frame
from pi_detector.core.records import StatusRecord
from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import encoder as encoder_module
from pi_detector.sinks.recordings.encoder import (
    Encoder,
    has_hardware_encoder,
    lacking,
    make_encoder,
)
from pi_detector.sinks.recordings.muxer import Muxer
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sinks.registry import make_recording_sinks

AT = datetime(2026, 11, 24, tzinfo=UTC)


def frame(number: int, image: np.ndarray) -> Frame:
    return Frame(image, number, 10**12 + number * 10**8, AT, "demo")


def test_a_frame_is_a_packet_at_once_and_each_second_has_a_keyframe() -> None:
    encoder = Encoder("libx264", (160, 120), 10, 2000)
    shots = []
    for number in range(35):
        image = drawn(number)
        made = encoder.encode(frame(number, image), image)
        assert [shot.captured_ns for shot in made] == [10**12 + number * 10**8]
        shots += made
    assert [number for number, shot in enumerate(shots) if shot.keyframe] == [0, 10, 20, 30]
    assert encoder.flush() == []
    assert encoder.headers[:4] in (b"\0\0\0\1", b"\0\0\1\x67")


def test_the_bits_are_bounded_whatever_is_seen() -> None:
    encoder = Encoder("libx264", (320, 240), 10, 500)
    rng = np.random.default_rng(1)
    size = 0
    for number in range(100):
        image = rng.integers(0, 255, (240, 320, 3), np.uint8)
        size += sum(shot.size for shot in encoder.encode(frame(number, image), image))
    assert size * 8 / 1000 / 10 < 500 * 1.3


def test_an_encoder_that_does_not_exist_or_work_is_an_error() -> None:
    for name in ("h264_v4l2m2m", "no-such-encoder"):
        with pytest.raises(SinkError, match=f"^encoder {name}: does not work.*libx264"):
            make_encoder(name, (160, 120), 10, 2000)


def test_where_the_hardware_does_not_work_software_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoder_module, "has_hardware_encoder", lambda: True)
    encoder = make_encoder("auto", (160, 120), 10, 2000)
    image = drawn(0)
    assert encoder.encode(frame(0, image), image)
    assert "encoder h264_v4l2m2m: does not work" in caplog.text
    assert "using libx264 instead" in caplog.text


def test_the_hardware_is_found_by_its_name(tmp_path: Path) -> None:
    assert not has_hardware_encoder(tmp_path)
    for number, name in enumerate(("unicam-image", "bcm2835-codec-decode")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    assert not has_hardware_encoder(tmp_path)
    (tmp_path / "video11").mkdir()
    (tmp_path / "video11" / "name").write_text("bcm2835-codec-encode\n")
    assert has_hardware_encoder(tmp_path)


def test_without_pyav_events_are_recorded_without_clips_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    reports: list[StatusRecord] = []
    (sink,) = make_recording_sinks(settings(path=str(tmp_path)), {}, reports.append, lambda: True)
    sink.start()
    short_event(Camera(sink), "a")  # type: ignore[arg-type]
    sink.close()
    (report,) = reports
    assert (report.part, report.name, report.state) == ("sink", "recordings", "limited")
    fixes = r"PyAV.*to install it.*recording\.clips to false.*without clips"
    assert re.search(fixes, report.reason or "")
    assert re.search(fixes, caplog.text)
    (row,) = rows(tmp_path)
    assert [media.kind for media in row.entry.files] == ["thumbnail", "snapshot", "clean"]


def test_only_clips_that_are_wanted_are_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lacking(settings()) is None
    monkeypatch.setitem(sys.modules, "av", None)
    assert lacking(settings())
    assert lacking(settings(clips=False)) is None
    assert lacking(settings(enabled=False)) is None


def test_an_encoder_that_fails_is_told_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = RecordingSink(tmp_path, settings())
    sink.start()
    camera = Camera(sink)
    camera.frames(1)
    camera.tell("a", "new")
    camera.frames(1)

    def fail(*_: object) -> None:
        raise SinkError("encoder libx264 does not work")

    with monkeypatch.context() as broken:
        broken.setattr(Encoder, "encode", fail)
        with pytest.raises(SinkError, match="does not work"):
            camera.frame()
    camera.frames(2)
    camera.tell("a", "end", reason="gone")
    sink.close()
    assert sorted(path.name for path in tmp_path.rglob("*.mp4")) == ["a.2.mp4", "a.mp4"]


def test_a_file_that_a_failure_left_open_is_closed_before_the_garbage_collector_comes() -> None:
    encoder = make_encoder("libx264", (640, 480), 10, 1000)
    image = np.zeros((480, 640, 3), np.uint8)
    (shot,) = encoder.encode(Frame(image, 0, 0, datetime.now(UTC), "test"), image)
    muxer = Muxer(encoder.headers)
    muxer.add(shot)
    written = muxer._written
    assert b"mfra" not in written._bytes
    del muxer
    assert b"mfra" in written._bytes, "the end of the file"


class BrokenOutput:
    def mux(self, packet: object) -> None:
        raise av.error.InvalidDataError(1094995529, "no data")

    def close(self) -> None:
        raise av.error.InvalidDataError(1094995529, "no data")


def test_writing_that_fails_is_told_and_the_clip_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = RecordingSink(tmp_path, settings())
    sink.start()
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("a", "new")
    camera.frames(1)
    assert sink._recorder is not None
    assert sink._recorder._muxer is not None
    sink._recorder._muxer._output = BrokenOutput()
    with pytest.raises(SinkError, match="writing MP4: does not work"):
        camera.frames(1)
    camera.frames(2)
    camera.tell("a", "end", reason="gone")
    sink.close()
    last = play(tmp_path / "2026/11/24/a.2.mp4")
    assert last.numbers[-1] == camera.number - 1
