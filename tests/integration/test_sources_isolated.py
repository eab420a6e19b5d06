"""A source in a process of its own: its frames and its errors are those of the source there."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from isolated_sources import PASSWORD, demo, isolated_source, opened, read_on, write_video

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import BadImageError, ConfigError, SourceLostError, SourceNotFoundError
from pi_detector.sources.demo import DemoSource
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.isolated import IsolatedSource
from pi_detector.sources.registry import make_source


class TestWhatIsIsolated:
    @pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
    def test_streams_are_and_keep_their_name(self, scheme: str) -> None:
        source = isolated_source(f"{scheme}://me:{PASSWORD}@camera.local/live")
        assert source.live is True
        assert source.name == f"{scheme}://camera.local/live"

    def test_video_files_are_and_pictures_are_not(self, tmp_path: Path) -> None:
        assert isolated_source(str(write_video(tmp_path / "clip.avi"))).live is False
        assert isinstance(make_source(SourceSettings(uri=f"images:{tmp_path}")), ImagesSource)
        assert isinstance(make_source(SourceSettings(uri="demo:")), DemoSource)

    def test_off_and_on(self, tmp_path: Path) -> None:
        clip = str(write_video(tmp_path / "clip.avi"))
        assert not isinstance(
            make_source(SourceSettings(uri=clip, isolation="off")), IsolatedSource
        )
        for uri in ("demo:", "v4l2:/dev/video7", "picamera:0"):
            assert isolated_source(uri, isolation="on").name

    def test_auto_opens_what_it_found(self) -> None:
        source = isolated_source("auto", isolation="on", width=64, height=48)
        assert source._settings.uri != "auto"
        assert source._settings.isolation == "off"


class TestFrames:
    def test_are_those_of_the_inner_source(self, tmp_path: Path) -> None:
        clip = str(write_video(tmp_path / "clip.avi"))
        plain = make_source(SourceSettings(uri=clip, isolation="off"))
        plain.open()
        with opened(isolated_source(clip)) as source:
            while (expected := plain.read()) is not None:
                before_ns = time.monotonic_ns()
                frame = source.read()
                assert frame is not None
                assert np.array_equal(frame.image, expected.image)
                assert not frame.image.flags.writeable
                assert frame.image.flags.c_contiguous
                assert frame.sequence == expected.sequence
                assert frame.path == clip
                assert frame.source == "clip.avi"
                assert frame.captured_at.utcoffset() is not None
                assert abs(before_ns - frame.captured_ns) < 60e9
            assert source.read() is None
            assert source.read() is None
        plain.close()

    def test_stay_what_they_are_when_others_follow(self, tmp_path: Path) -> None:
        with opened(isolated_source(str(write_video(tmp_path / "clip.avi")))) as source:
            frames = [source.read() for _ in range(12)]
        brightness = [frame.image[..., 0].mean() for frame in frames if frame]
        assert len(brightness) == 12
        assert brightness[:10] == sorted(brightness[:10])
        assert brightness[9] - brightness[0] == pytest.approx(90, abs=8)

    def test_numbers_go_on_after_reopening(self) -> None:
        source = demo()
        for first in (0, 3, 6):
            with opened(source):
                assert [f.sequence for _ in range(3) if (f := source.read())] == [
                    first,
                    first + 1,
                    first + 2,
                ]

    def test_of_a_file_whose_name_is_not_utf8(self, tmp_path: Path) -> None:
        clip = write_video(tmp_path / "clip.avi").rename(tmp_path / os.fsdecode(b"cl\xefp.avi"))
        with opened(isolated_source(str(clip))) as source:
            frame = source.read()
            assert frame is not None
            assert frame.path == str(clip)

    def test_of_a_file_are_decoded_ahead(self, tmp_path: Path) -> None:
        with opened(isolated_source(str(write_video(tmp_path / "clip.avi")))) as source:
            source.read()
            time.sleep(0.5)
            asked_ns = time.monotonic_ns()
            frame = source.read()
            assert frame is not None
            assert frame.captured_ns < asked_ns

    def test_of_a_live_source_are_not(self) -> None:
        with opened(demo()) as source:
            source.read()
            time.sleep(0.2)
            asked_ns = time.monotonic_ns()
            frame = source.read()
            assert frame is not None
            assert frame.captured_ns > asked_ns


class TestErrors:
    def test_are_those_of_the_inner_source(self, tmp_path: Path) -> None:
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(b"no video at all" * 50)
        with pytest.raises(BadImageError, match=r"clip\.mp4: cannot decode the video.*ffprobe"):
            isolated_source(str(clip)).open()
        source = isolated_source(str(clip))
        clip.unlink()
        with pytest.raises(SourceNotFoundError, match=r"clip\.mp4: no such video"):
            source.open()
        with pytest.raises(SourceLostError, match="not open"):
            source.read()

    def test_log_messages_arrive(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        clip = write_video(tmp_path / "clip.avi", 60)
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        with opened(isolated_source(str(clip))) as source, caplog.at_level(logging.WARNING):
            while source.read() is not None:
                pass
        names = [r.name for r in caplog.records if ".sources." in r.name]
        assert names == ["pi_detector.sources.video"]
        assert "the file is damaged or cut off" in caplog.text

    def test_a_uri_that_is_too_long(self) -> None:
        with pytest.raises(ConfigError, match="shorten it"):
            isolated_source("http://camera/" + "x" * 100_000).open()

    def test_no_process_can_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/no/python")
        source = demo()
        with pytest.raises(SourceLostError, match=r"cannot be started .*No such file"):
            source.open()
        source.close()


class Resizing(BaseHTTPRequestHandler):
    """A camera whose pictures change their size, and become enormous."""

    sizes = ((64, 48),) * 6 + ((320, 240),) * 6 + ((4096, 2160),) * 4 + ((48, 64),) * 6

    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for width, height in self.sizes:
            image = np.full((height, width, 3), 90, np.uint8)
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            self.wfile.write(head % len(jpeg) + jpeg + b"\r\n")


def test_a_stream_whose_pictures_change_their_size() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Resizing) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        with opened(isolated_source(f"http://127.0.0.1:{httpd.server_address[1]}/")) as source:
            frames = read_on(source, until=SourceLostError)
        httpd.shutdown()
    # OpenCV scales what follows to the first size, or passes the new one on: it depends on the
    # version; no frame may be garbage or lost.
    assert len(frames) >= len(Resizing.sizes) - 1
    assert all(abs(int(frame.image[-1, -1, 0]) - 90) < 3 for frame in frames)
