"""A source in a process of its own: what crashes, hangs or babbles there."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from babbler import WELL_UNTIL_READ, Babbler, make_babbler
from isolated_sources import (
    children,
    demo,
    is_running,
    isolated_source,
    opened,
    pid_of,
    read_on,
    write_video,
)

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import BadImageError, ConfigError, SourceLostError, SourceStalledError
from pi_detector.sources import isolated, isolated_pictures, isolated_process
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.isolated_pictures import PictureProcess
from pi_detector.sources.registry import make_source


class TestCrashes:
    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
    def test_of_a_live_source(self, number: signal.Signals) -> None:
        source = demo()
        with opened(source):
            assert source.read() is not None
            os.kill(pid_of(source), number)
            with pytest.raises(
                SourceLostError, match=f"demo: the decoder was killed by {number.name}"
            ):
                read_on(source)
            with pytest.raises(SourceLostError, match="not open"):
                source.read()
        with opened(source):
            frame = source.read()
            assert frame is not None
            assert frame.sequence >= 1

    def test_of_a_file(self, tmp_path: Path) -> None:
        with opened(isolated_source(str(write_video(tmp_path / "clip.avi", 200)))) as source:
            assert source.read() is not None
            os.kill(pid_of(source), signal.SIGSEGV)
            with pytest.raises(
                BadImageError, match=r"clip\.avi: the decoder was killed by SIGSEGV"
            ):
                read_on(source)

    def test_while_it_is_read(self) -> None:
        source = demo(read_timeout_s=30)
        with opened(source):
            threading.Timer(0.3, os.kill, (pid_of(source), signal.SIGSEGV)).start()
            started = time.monotonic()
            with pytest.raises(SourceLostError, match="SIGSEGV"):
                read_on(source)
            assert time.monotonic() - started < 5


def write_pictures(folder: Path, sizes: list[tuple[int, int]]) -> None:
    """Blue pictures with a white corner, one brighter than the other."""
    for number, (width, height) in enumerate(sizes):
        image = np.full((height, width, 3), (40 * number, 0, 0), np.uint8)
        image[-1, -1] = 255
        cv2.imwrite(str(folder / f"{number}.bmp"), image)


class TestPictures:
    """A folder of pictures goes on where one of them killed the decoder."""

    def source(self, folder: Path, **settings: object) -> ImagesSource:
        source = make_source(SourceSettings(uri=f"images:{folder}", **settings))  # type: ignore[arg-type]
        assert isinstance(source, ImagesSource)
        source.open()
        return source

    def pid(self, source: ImagesSource) -> int:
        assert source._process is not None
        assert source._process._process is not None
        return source._process._process.pid

    def test_of_any_size(self, tmp_path: Path) -> None:
        sizes = [(40, 30), (4000, 3000), (20, 20), (9000, 6000), (64, 48)]
        write_pictures(tmp_path, sizes)
        source = self.source(tmp_path)
        for number, (width, height) in enumerate(sizes):
            frame = source.read()
            assert frame is not None
            assert (frame.width, frame.height) == (width, height)
            assert frame.image[0, 0].tolist() == [0, 0, 40 * number]
            assert frame.image[-1, -1].tolist() == [255] * 3
            assert not frame.image.flags.writeable
            assert frame.path == str(tmp_path / f"{number}.bmp")
            assert frame.sequence == number
        assert source.read() is None
        pid = self.pid(source)
        source.close()
        source.close()
        assert not is_running(pid)

    def test_off(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, [(40, 30)])
        before = children()
        source = self.source(tmp_path, isolation="off")
        frame = source.read()
        assert frame is not None
        assert frame.image[0, 0].tolist() == [0, 0, 0]
        assert children() == before

    def test_that_kills_the_decoder_is_passed_over(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_pictures(tmp_path, [(40, 30)] * 4)
        source = self.source(tmp_path)
        assert source.read() is not None
        pid = self.pid(source)
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        paths = [frame.path for frame in iter(source.read, None)]
        assert paths == [str(tmp_path / f"{number}.bmp") for number in (2, 3)]
        assert source.skipped == 1
        assert (
            "1.bmp: skipped because it cannot be decoded (the decoder was killed by" in caplog.text
        )
        source.close()

    def test_that_hangs_the_decoder_is_passed_over(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_pictures(tmp_path, [(40, 30)] * 3)
        source = self.source(tmp_path)
        assert source.read() is not None
        monkeypatch.setattr(isolated_pictures, "_TIMEOUT_S", 2.0)
        os.kill(self.pid(source), signal.SIGSTOP)
        assert [frame.path for frame in iter(source.read, None)] == [str(tmp_path / "2.bmp")]
        assert "1.bmp: skipped because it cannot be decoded (the decoder was killed after 2 s)" in (
            caplog.text
        )
        source.close()

    def test_before_which_the_decoder_died_is_not_lost(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, [(40, 30)] * 3)
        source = self.source(tmp_path)
        assert source.read() is not None
        os.kill(self.pid(source), signal.SIGSEGV)
        time.sleep(0.2)
        assert len(list(iter(source.read, None))) == 2
        assert source.skipped == 0
        source.close()

    def test_that_announces_gigabytes(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its chunk says that it is of 4 GiB, for which OpenCV makes room before it reads it."""
        png = cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
        at = png.index(b"IDAT") - 4
        (tmp_path / "a.png").write_bytes(png[:at] + b"\xff\x00\x00\x00" + png[at + 4 :])
        (tmp_path / "b.png").write_bytes(png)
        source = self.source(tmp_path)
        started = time.monotonic()
        frames = list(iter(source.read, None))
        assert time.monotonic() - started < 8
        assert [frame.path for frame in frames] == [str(tmp_path / "b.png")]
        assert "a.png: skipped" in caplog.text
        source.close()

    def test_larger_than_the_memory_allows(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolated_process, "largest_image", lambda: 100 * 100)
        for suffix in ("jpg", "png", "bmp", "tif"):
            cv2.imwrite(str(tmp_path / f"a.{suffix}"), np.zeros((90, 120, 3), np.uint8))
        write_pictures(tmp_path, [(100, 100)])
        source = self.source(tmp_path)
        assert [frame.path for frame in iter(source.read, None)] == [str(tmp_path / "0.bmp")]
        assert source.skipped == 4
        assert caplog.text.count("120x90 pixels exceed") == 2
        assert caplog.text.count("larger than") == 2
        source.close()

    def test_a_pipe_with_an_images_name_is_not_waited_for(self, tmp_path: Path) -> None:
        decoder = PictureProcess("test")
        os.mkfifo(tmp_path / "a.jpg")
        with pytest.raises(BadImageError, match="the file is empty"):
            decoder.decode(tmp_path / "a.jpg")
        decoder.close()


class TestHangs:
    def test_a_process_that_is_stopped(self) -> None:
        source = demo(read_timeout_s=0.2)
        with opened(source):
            pid = pid_of(source)
            os.kill(pid, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(SourceStalledError, match=r"did not respond for 2\.2 s"):
                source.read()
            assert 2 < time.monotonic() - started < 5
            assert not is_running(pid)

    def test_a_source_that_does_not_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolated, "_OPEN_LIMIT_S", 4.0)
        os.mkfifo(tmp_path / "clip.mp4")  # opening it waits for a writer, for ever
        source = isolated_source(str(tmp_path / "clip.mp4"), read_timeout_s=0.5)
        with pytest.raises(
            SourceStalledError, match=r"clip\.mp4: the reading process did not respond"
        ):
            source.open()
        source.close()

    def test_close_does_not_wait_for_ever(self) -> None:
        source = demo()
        source.open()
        pid = pid_of(source)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - started < 4
        assert not is_running(pid)


@pytest.fixture
def babbler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Babbler:
    return make_babbler(tmp_path, monkeypatch)


class TestNonsense:
    """The process is not trusted, as its heap may be anything by now."""

    @pytest.mark.parametrize(
        ("lines", "error", "words"),
        [
            ("sys.exit(3)", SourceLostError, "ended with exit code 3"),
            ("say(b'\\xff\\xff')", SourceLostError, "invalid reply"),
            ("say(Opened()); time.sleep(60)", SourceLostError, "invalid reply"),
            (
                "say(Started()); link.recv(65536); frame(); time.sleep(60)",
                SourceLostError,
                "invalid re",
            ),
            ("say(Started()); link.recv(65536); sys.exit(0)", SourceLostError, "exit code 0"),
            (
                "say(Started()); link.recv(65536); say(Failed('SystemExit', b'x'))",
                SourceLostError,
                r"failed \(SystemExit: x\)",
            ),
            (
                "say(Started()); link.recv(65536); say(Failed('ConfigError', b'that'))",
                ConfigError,
                "^that$",
            ),
        ],
    )
    def test_while_opening(self, babbler: Babbler, lines: str, error: type, words: str) -> None:
        source = babbler(lines)
        with pytest.raises(error, match=words):
            source.open()
        assert source._process is None

    @pytest.mark.parametrize(
        "lines",
        [
            "say(os.urandom(60000))",
            "say(Opened())",
            "frame(shape=(4, 4, 3))",  # the memory is empty
            "os.ftruncate(memory, 1 << 40); frame(shape=(1 << 18, 1 << 18, 3))",
            "os.ftruncate(memory, 100); frame(shape=(0, 4, 3))",
            "os.ftruncate(memory, 100); frame(shape=(-4, -4, 3))",
            "os.ftruncate(memory, 100); frame(shape=(4, 4, 4))",
        ],
    )
    def test_while_reading(self, babbler: Babbler, lines: str) -> None:
        source = babbler(f"{WELL_UNTIL_READ}\n{lines}\ntime.sleep(60)")
        with (
            opened(source),
            pytest.raises(SourceLostError, match="demo: the decoder sent an invalid reply"),
        ):
            source.read()

    def test_endless_log_messages(self, babbler: Babbler) -> None:
        source = babbler(f"{WELL_UNTIL_READ}\nwhile True: say(Logged('x', 10, b'y'))")
        with opened(source), pytest.raises(SourceStalledError):
            source.read()

    def test_memory_cannot_be_taken_away(self, babbler: Babbler) -> None:
        source = babbler(
            f"""{WELL_UNTIL_READ}
            os.ftruncate(memory, 1000); frame(); link.recv(65536)
            try: os.ftruncate(memory, 0)
            except PermissionError: frame(sequence=1)
            """.replace("            ", "")
        )
        with opened(source):
            assert source.read() is not None
            assert source.read() is not None

    def test_dropped_frames_leave_gaps(self, babbler: Babbler) -> None:
        source = babbler(
            f"{WELL_UNTIL_READ}\nos.ftruncate(memory, 100)\n"
            "for n in (2, 3, 7): frame(sequence=n); link.recv(65536)"
        )
        for first in (0, 8):
            with opened(source):
                numbers = [frame.sequence for _ in range(3) if (frame := source.read())]
            assert numbers == [first + 2, first + 3, first + 7]
