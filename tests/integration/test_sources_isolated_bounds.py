"""A source in a process of its own: its memory, its stderr, and how it is interrupted."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest
from babbler import WELL_UNTIL_READ, Babbler, make_babbler
from isolated_sources import isolated_source, opened, pid_of, write_video

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import BadImageError, SourceLostError
from pi_detector.sources import isolated_link, isolated_process
from pi_detector.sources.isolated import IsolatedSource


@pytest.fixture
def babbler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Babbler:
    return make_babbler(tmp_path, monkeypatch)


def limit_of(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.removeprefix(name).split()[1])  # the hard one


class TestMemory:
    """What a source can take is bounded by the machine's memory, the shared memory included."""

    def test_a_video_that_is_too_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolated_process, "largest_image", lambda: 64 * 47)
        source = isolated_source(str(write_video(tmp_path / "clip.avi")))
        with pytest.raises(BadImageError, match=r"clip\.avi: 64x48 pixels exceed"):
            source.open()

    def test_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(isolated_process, "largest_image", lambda: 4_000_000)
        with opened(isolated_source(str(write_video(tmp_path / "clip.avi")))) as source:
            pid = pid_of(source)
            assert limit_of(pid, "Max file size") == isolated_link.memory_size(4_000_000)
            assert limit_of(pid, "Max data size") < 300e6
            assert limit_of(pid, "Max address space") < 2.5e9

    def test_a_frame_beyond_what_the_parent_allows_is_not_taken(
        self, babbler: Babbler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolated_process, "largest_image", lambda: 64 * 48)
        lines = "os.ftruncate(memory, 1 << 20); frame(shape=(100, 1000, 3))"
        source = babbler(f"{WELL_UNTIL_READ}\n{lines}\ntime.sleep(60)")
        source._settings = SourceSettings(uri="demo:", width=64, height=48, isolation="off")
        with opened(source), pytest.raises(SourceLostError, match="1000x100 pixels"):
            source.read()


class TestStderr:
    """What libraries print in the process is read, and neither seen nor waited for."""

    def test_it_becomes_log_messages(
        self,
        babbler: Babbler,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        source = babbler(
            f"""{WELL_UNTIL_READ}
            for n in range(50): os.write(2, b"[x @ 0x1] open rtsp://me:hunter2@cam/live %d\\n" % n)
            os.write(2, b"the last \x1b word")
            os.abort()
            """.replace("            ", "")
        )
        caplog.set_level(logging.DEBUG)
        with opened(source), pytest.raises(SourceLostError, match=r"SIGABRT \(the last   word\)"):
            source.read()
        assert "demo: [x @ 0x1] open rtsp://cam/live 0" in caplog.text
        assert caplog.text.count("rtsp://cam/live") == 20
        assert "hunter2" not in caplog.text
        assert capfd.readouterr() == ("", "")

    def test_a_process_that_prints_without_end_is_not_held_up(self, babbler: Babbler) -> None:
        source = babbler(
            f"""{WELL_UNTIL_READ}
            import contextlib
            os.ftruncate(memory, 100)
            for n in range(200):
                with contextlib.suppress(BlockingIOError): os.write(2, bytes(4096))
            frame()
            """.replace("            ", "")
        )
        with opened(source):
            assert source.read() is not None


class TestInterrupt:
    def test_while_it_opens_and_while_it_reads(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "clip.mp4")
        for source in (isolated_source(str(tmp_path / "clip.mp4")), slow()):
            threading.Timer(1.0, source.interrupt).start()
            started = time.monotonic()
            source.open()
            while source.read() is not None:
                pass
            source.close()
            assert time.monotonic() - started < 5
            assert source.read() is None


def slow() -> IsolatedSource:
    return isolated_source("demo:", isolation="on", fps=0.1, read_timeout_s=60)
