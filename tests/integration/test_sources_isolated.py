"""A source in a process of its own: what crashes, hangs or babbles there, and what is left."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    BadImageError,
    ConfigError,
    SourceLostError,
    SourceNotFoundError,
    SourceStalledError,
)
from pi_detector.frame import Frame
from pi_detector.sources import isolated, isolated_pictures, isolated_process
from pi_detector.sources.demo import DemoSource
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.isolated import IsolatedSource
from pi_detector.sources.registry import make_source

PASSWORD = "hunter2"


def write_video(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48)) -> Path:
    """A red video whose brightness grows."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), (0, 0, 100 + 10 * number % 100), np.uint8))
    writer.release()
    return path


def isolated_source(uri: str, **settings: object) -> IsolatedSource:
    source = make_source(SourceSettings(uri=uri, **settings))  # type: ignore[arg-type]
    assert isinstance(source, IsolatedSource)
    return source


def demo(**settings: object) -> IsolatedSource:
    return isolated_source("demo:", isolation="on", width=64, height=48, fps=200, **settings)


def pid_of(source: IsolatedSource) -> int:
    assert source._process is not None
    return source._process.pid


def is_running(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_on(source: IsolatedSource, until: type[Exception] = SystemError) -> list[Frame]:
    """Read until the end, or until there is an error."""
    frames = []
    with contextlib.suppress(until):
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


@contextlib.contextmanager
def opened(source: IsolatedSource) -> Iterator[IsolatedSource]:
    source.open((300, 300))
    try:
        yield source
    finally:
        source.close()


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
        with pytest.raises(BadImageError, match=r"clip\.mp4: no video.*ffprobe"):
            isolated_source(str(clip)).open()
        source = isolated_source(str(clip))
        clip.unlink()
        with pytest.raises(SourceNotFoundError, match=r"no video.*clip\.mp4"):
            source.open()
        with pytest.raises(SourceLostError, match="not open"):
            source.read()

    def test_log_messages_arrive(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        clip = write_video(tmp_path / "clip.avi", 60)
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        with opened(isolated_source(str(clip))) as source, caplog.at_level(logging.WARNING):
            while source.read() is not None:
                pass
        assert [r.name for r in caplog.records] == ["pi_detector.sources.video"]
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
        assert "1.bmp: passed over, it cannot be decoded (the decoder was killed by" in caplog.text
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
        assert "1.bmp: passed over, it cannot be decoded (the decoder was killed after 2 s)" in (
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
        assert "a.png: passed over" in caplog.text
        limits = Path(f"/proc/{self.pid(source)}/limits").read_text()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = next(line for line in limits.splitlines() if line.startswith("Max data size"))
        assert int(limit.split()[3]) == min(max(memory // 2, 256 << 20), 2 << 30)
        source.close()


class TestHangs:
    def test_a_process_that_is_stopped(self) -> None:
        source = demo(read_timeout_s=0.2)
        with opened(source):
            pid = pid_of(source)
            os.kill(pid, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(SourceStalledError, match=r"did not answer for 2\.2 s"):
                source.read()
            assert 2 < time.monotonic() - started < 5
            assert not is_running(pid)

    def test_a_source_that_does_not_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolated, "_OPEN_LIMIT_S", 4.0)
        os.mkfifo(tmp_path / "clip.mp4")  # opening it waits for a writer, for ever
        source = isolated_source(str(tmp_path / "clip.mp4"), read_timeout_s=0.5)
        with pytest.raises(SourceStalledError, match=r"clip\.mp4: its process did not answer"):
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


BABBLER = """
import os, socket, sys, time
from datetime import datetime, timezone
from pi_detector.sources.isolated_link import *
link = socket.socket(fileno=int(sys.argv[1]))
memory = int(sys.argv[2])
def say(message):
    link.send(message if isinstance(message, bytes) else encode(message))
def frame(sequence=0, shape=(4, 4, 3)):
    say(Delivered(sequence, 1, datetime.now(timezone.utc), shape, None, None))
"""


@pytest.fixture
def babbler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], IsolatedSource]:
    """A live source whose process runs the given lines."""

    def make(lines: str) -> IsolatedSource:
        (tmp_path / "babbler.py").write_text(BABBLER + textwrap.dedent(lines))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(isolated_process, "_MODULE", "babbler")
        return demo(read_timeout_s=0.2)

    return make


WELL_UNTIL_READ = """
say(Started()); link.recv(65536); say(Opened()); link.recv(65536)
"""


class TestNonsense:
    """The process is not trusted, as its heap may be anything by now."""

    @pytest.mark.parametrize(
        ("lines", "error", "words"),
        [
            ("sys.exit(3)", SourceLostError, "ended with exit code 3"),
            ("say(b'\\xff\\xff')", SourceLostError, "nonsense"),
            ("say(Opened()); time.sleep(60)", SourceLostError, "nonsense"),
            ("say(Started()); link.recv(65536); frame(); time.sleep(60)", SourceLostError, "nonse"),
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
    def test_while_opening(
        self, babbler: Callable[[str], IsolatedSource], lines: str, error: type, words: str
    ) -> None:
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
    def test_while_reading(self, babbler: Callable[[str], IsolatedSource], lines: str) -> None:
        source = babbler(f"{WELL_UNTIL_READ}\n{lines}\ntime.sleep(60)")
        with opened(source), pytest.raises(SourceLostError, match="demo: the decoder answered"):
            source.read()

    def test_endless_log_messages(self, babbler: Callable[[str], IsolatedSource]) -> None:
        source = babbler(f"{WELL_UNTIL_READ}\nwhile True: say(Logged('x', 10, b'y'))")
        with opened(source), pytest.raises(SourceStalledError):
            source.read()

    def test_memory_cannot_be_taken_away(self, babbler: Callable[[str], IsolatedSource]) -> None:
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

    def test_dropped_frames_leave_gaps(self, babbler: Callable[[str], IsolatedSource]) -> None:
        source = babbler(
            f"{WELL_UNTIL_READ}\nos.ftruncate(memory, 100)\n"
            "for n in (2, 3, 7): frame(sequence=n); link.recv(65536)"
        )
        for first in (0, 8):
            with opened(source):
                numbers = [frame.sequence for _ in range(3) if (frame := source.read())]
            assert numbers == [first + 2, first + 3, first + 7]


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


@pytest.fixture
def own() -> Iterator[None]:
    """Nothing that a test starts is left when it ends."""
    with opened(demo()):  # starts the thread that starts processes, which stays
        pass
    gc.collect()
    before = footprint()
    yield
    gc.collect()
    assert footprint() == before


def children() -> list[int]:
    """Process ids of the children of all threads, zombies included."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def footprint() -> dict[str, object]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()).split(":")[0])
    return {
        "fds": len(links),
        "memfds": sum("memfd:pi-detector" in link for link in links),
        "threads": threading.active_count(),
        "children": children(),
        "maps": Path("/proc/self/maps").read_text().count("memfd:pi-detector"),
    }


@pytest.mark.slow
def test_fifty_reopenings_leave_nothing(own: None) -> None:
    source = demo()
    for number in range(50):
        source.open()
        assert source.read() is not None
        if number % 5 == 1:
            os.kill(pid_of(source), signal.SIGSEGV)
            with pytest.raises(SourceLostError):
                read_on(source)
        if number % 5 == 2:
            os.kill(pid_of(source), signal.SIGSTOP)
            source._process._process.kill()  # type: ignore[union-attr]
        if number % 5 != 3:
            source.close()
    source.close()


PARENT = """
import sys, time
from pi_detector.config.settings import SourceSettings
from pi_detector.sources.registry import make_source
source = make_source(SourceSettings(uri=sys.stdin.readline().strip(), isolation="on"))
source.open()
source.read()
print(source._process.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent() -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int]]]:
    """Starts a program that opens a source, and tells the process ids of both."""
    started = []

    def start(uri: str) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        print(uri, file=process.stdin, flush=True)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stopped", [False, True])
def test_the_process_dies_with_its_parent(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]], stopped: bool
) -> None:
    process, child = parent("demo:")
    if stopped:
        os.kill(child, signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(child) or "State:\tZ" in status(child))


def status(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def test_the_process_outlives_the_thread_that_opened_it() -> None:
    source = demo()
    thread = threading.Thread(target=source.open)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert source.read() is not None
    source.close()


class Private(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(head % len(jpeg) + jpeg + b"\r\n")
                time.sleep(0.02)


def test_nobody_can_read_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Private) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        uri = f"http://me:{PASSWORD}@127.0.0.1:{httpd.server_address[1]}/"
        monkeypatch.setenv("PI_DETECTOR__SOURCE__URI", uri)
        with opened(isolated_source(uri)) as source:
            assert source.read() is not None
            process = Path(f"/proc/{pid_of(source)}")
            for name in ("cmdline", "environ", "comm", "status"):
                assert PASSWORD.encode() not in (process / name).read_bytes()
        httpd.shutdown()


def test_the_process_neither_prints_nor_keeps_what_is_the_parents(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]],
) -> None:
    process, child = parent("demo:")
    descriptors = Path(f"/proc/{child}/fd")
    assert (descriptors / "1").readlink() == (descriptors / "2").readlink()
    stdout = Path(f"/proc/{process.pid}/fd/1").readlink()
    assert stdout not in {fd.readlink() for fd in descriptors.iterdir()}
    assert (descriptors / "0").readlink() == Path("/dev/null")
    score = int(Path(f"/proc/{child}/oom_score_adj").read_text())
    assert score > int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())
    assert "Max core file size        0 " in Path(f"/proc/{child}/limits").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_the_parents_business(
    parent: Callable[[str], tuple[subprocess.Popen[str], int]], number: signal.Signals
) -> None:
    process, child = parent("demo:")
    os.kill(child, number)
    time.sleep(0.2)
    assert "State:\tZ" not in status(child)
    assert status(child)
    process.communicate("\n", timeout=10)
    assert process.returncode == 0
