"""What pi-detector does with a V4L2 camera and its faults. Runs as root in the guest of run.sh."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from checks import FRAME_S, START_S, Ended, make, pi_detector, running, start

from pi_detector.config.settings import SourceSettings
from pi_detector.sources.discover import find_cameras
from pi_detector.sources.registry import make_source

NODE = Path("/dev/video0")
URI = f"v4l2:{NODE}"
DRIVER = Path("/sys/bus/platform/drivers/vivid")
DEVICE = "vivid.0"
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
READ_TIMEOUT_S = 3.0
STOP_S = 5.0
PASSABLE = stat.S_IROTH | stat.S_IXOTH


@contextmanager
def stalled() -> Iterator[None]:
    """The camera is there and delivers nothing."""
    set_control("percentage_of_dropped_buffers=100")
    try:
        yield
    finally:
        set_control("percentage_of_dropped_buffers=0")


def set_control(assignment: str) -> None:
    """Set a control of the driver, such as those that inject faults."""
    subprocess.run(["v4l2-ctl", "-d", str(NODE), "-c", assignment], check=True)


def plug(action: str) -> None:
    """``bind`` or ``unbind`` the driver: the camera comes or goes."""
    (DRIVER / action).write_text(DEVICE)
    deadline = time.monotonic() + 10
    while NODE.exists() != (action == "bind"):
        assert time.monotonic() < deadline, f"{NODE} after {action}"
        time.sleep(0.05)


def camera_is_found() -> None:
    """The camera is listed by the API and by doctor."""
    (camera,) = find_cameras()
    assert camera.uri == URI, camera
    assert camera.permitted, camera
    assert camera.description == "vivid", camera
    doctor = pi_detector("doctor", "--json")
    checks = json.loads(doctor.out)["checks"]
    assert any(c["level"] == "ok" and URI in str(c) for c in checks), doctor.out


def auto_takes_the_camera() -> None:
    """``auto`` is the camera, and the API reads pictures of it."""
    source = make_source(SourceSettings(uri="auto"))
    assert source.name == URI, source.name
    source.open()
    try:
        frames = [frame for _ in range(5) if (frame := source.read())]
    finally:
        source.close()
    assert [frame.image.shape for frame in frames] == [(480, 640, 3)] * 5, frames
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times)), times
    assert frames[-1].image.std() > 20, "the driver's colour bars are not of one colour"


def ten_frames() -> None:
    """Ten records of frames as large as asked for."""
    ended = pi_detector("run", "--source", URI, "--frames", "10")
    ended.must_be(os.EX_OK)
    records = ended.frames()
    assert len(records) == 10, f"{len(records)} records"
    for record in records:
        assert record["source"] == URI, record
        assert record["frame"] == {"width": 640, "height": 480}, record
    numbers = [record["sequence"] for record in records]
    assert numbers == sorted(set(numbers)), numbers


def busy_camera() -> None:
    """Another program streams from the camera."""
    holder = start(["v4l2-ctl", "-d", str(NODE), "--stream-mmap", "--stream-count=0"])
    try:
        assert holder.stderr is not None
        assert holder.stderr.read(1) == "<", "v4l2-ctl prints this at its first frame"
        ended = pi_detector("run", "--source", URI)
        assert holder.poll() is None, "the other program was disturbed"
    finally:
        holder.kill()
        holder.wait()
    ended.must_be(os.EX_TEMPFAIL)
    ended.error_line(URI, "in use", f"fuser -v {NODE}")


def absent_camera() -> None:
    """No such device."""
    ended = pi_detector("run", "--source", "v4l2:/dev/video9")
    ended.must_be(os.EX_NOINPUT)
    ended.error_line("/dev/video9", "pi-detector doctor")


def forbidden_camera() -> None:
    """A user who may not open the camera, and sees it all the same."""
    may_pass(Path(sys.executable), Path(sys.executable).resolve(), Path(__file__).resolve())
    NODE.chmod(0o600)
    try:
        ended = pi_detector("run", "--source", URI, prefix=AS_NOBODY)
        doctor = pi_detector("doctor", "--json", prefix=AS_NOBODY)
    finally:
        NODE.chmod(0o660)
    ended.must_be(os.EX_NOPERM)
    ended.error_line(str(NODE), "usermod -aG video")
    checks = json.loads(doctor.out)["checks"]
    assert any(c["level"] != "ok" and URI in str(c) for c in checks), doctor.out


def may_pass(*files: Path) -> None:
    """Let everybody through the folders of ``files``, which may lie in a private home.

    That changes the guest's layer in memory, not the machine.
    """
    for folder in {parent for file in files for parent in file.parents}:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & PASSABLE != PASSABLE:
            folder.chmod(mode | PASSABLE)


def unplugged_camera() -> None:
    """The camera goes away while it is read, comes back, and is read again."""
    with running("--source", URI, "--set", f"source.read_timeout_s={READ_TIMEOUT_S}") as process:
        plug("unbind")
        try:
            ended = Ended(process, START_S)
        finally:
            plug("bind")
    ended.must_be(os.EX_UNAVAILABLE)
    ended.error_line(URI, "the stream ended; check the cable")
    assert ended.seconds < READ_TIMEOUT_S + FRAME_S, f"took {ended.seconds:.1f} s"
    pi_detector("run", "--source", URI, "--frames", "2").must_be(os.EX_OK)


def stalled_camera() -> None:
    """The camera stops delivering: reading it ends at our deadline, not OpenCV's of ten seconds."""
    with (
        running("--source", URI, "--set", f"source.read_timeout_s={READ_TIMEOUT_S}") as process,
        stalled(),
    ):
        ended = Ended(process, START_S)
    ended.must_be(os.EX_UNAVAILABLE)
    line = ended.error_line(URI, "source.read_timeout_s")
    waited = re.search(r"no frame for ([\d.]+) s", line)
    assert waited, line
    assert READ_TIMEOUT_S * 0.9 <= float(waited[1]) < READ_TIMEOUT_S + 2, line
    assert ended.seconds < READ_TIMEOUT_S + FRAME_S, f"took {ended.seconds:.1f} s"


def terminated() -> None:
    """SIGTERM ends a run."""
    with running("--source", URI) as process:
        process.send_signal(signal.SIGTERM)
        ended = Ended(process, START_S)
    ended.must_be(os.EX_OK)
    assert "frames captured" in ended.err, ended.err
    assert ended.seconds < STOP_S, f"took {ended.seconds:.1f} s"


def terminated_while_stalled() -> None:
    """SIGTERM ends a run that is inside a read which goes on for longer."""
    with running("--source", URI, "--set", "source.read_timeout_s=60") as process, stalled():
        time.sleep(5)  # until the last frame is through the emulated detector
        process.send_signal(signal.SIGTERM)
        ended = Ended(process, START_S)
    ended.must_be(os.EX_OK)
    assert ended.seconds < STOP_S, f"took {ended.seconds:.1f} s"


CHECKS: tuple[Callable[[], None], ...] = (
    camera_is_found,
    auto_takes_the_camera,
    ten_frames,
    busy_camera,
    absent_camera,
    forbidden_camera,
    unplugged_camera,
    stalled_camera,
    terminated,
    terminated_while_stalled,
)


if __name__ == "__main__":
    make(CHECKS)
