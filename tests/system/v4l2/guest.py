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
from datetime import datetime
from pathlib import Path

import numpy as np
from checks import (
    FRAME_S,
    START_S,
    Ended,
    Watched,
    is_of_a_frame,
    is_of_the_source,
    make,
    pi_detector,
    running,
    start,
)

from pi_detector.config.settings import SourceSettings
from pi_detector.sources.discover import find_cameras
from pi_detector.sources.registry import make_source

NODE = Path("/dev/video0")
URI = f"v4l2:{NODE}"
DRIVER = Path("/sys/bus/platform/drivers/vivid")
DEVICE = "vivid.0"
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
READ_TIMEOUT_S = 3.0
DEADLINE = ("--set", f"source.read_timeout_s={READ_TIMEOUT_S}")
NO_RECOVERY = ("--set", "recovery.mode=off")
# After this time without a camera the pauses between tries are of two seconds or less.
OUTAGE_S = 4.0
RECOVERY_S = 30.0
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


def isolated_camera() -> None:
    """A camera that is read in a confined process of its own."""
    # The emulated machine may need longer for the first start of that process than is allowed.
    isolated = ("--set", "source.isolation=on", "--set", "recovery.mode=always")
    ended = pi_detector("run", "--source", URI, "--frames", "5", "-v", *isolated)
    ended.must_be(os.EX_OK)
    assert len(ended.frames()) == 5, ended.err
    assert f"{URI} is read with: no new privileges" in ended.err, ended.err
    assert "seccomp" in ended.err, ended.err


def turned_camera() -> str:
    """The driver mirrors where it can, OpenCV does the rest: it is the same picture, turned."""
    upright = picture()
    pairs = {
        "rotate=180": upright[::-1, ::-1],
        "rotate=90": np.rot90(upright, -1),
        "rotate=270": np.rot90(upright, 1),
        "hflip": upright[:, ::-1],
    }
    off = {}
    for name, expected in pairs.items():
        key, _, degrees = name.partition("=")
        turned = picture(**{key: int(degrees) if degrees else True})
        assert turned.shape == expected.shape, f"{name}: {turned.shape}"
        # A bar of text moves from frame to frame.
        off[name] = float(np.median(np.abs(turned.astype(int) - expected)))
        assert off[name] < 8, off
        assert control("horizontal_flip") == 0, "as it was, for other programs"
    return str(off)


def control_of_the_camera() -> str:
    """A control by its name, one that it does not have, and the list of all."""
    set_control("brightness=128")
    bright = float(picture(controls={"brightness": 200}).mean())
    dark = float(picture(controls={"brightness": 60}).mean())
    assert bright > dark + 30, f"{bright} and {dark}"
    assert control("brightness") == 60
    ended = pi_detector("run", "--source", URI, "--set", "source.controls.focus=1")
    ended.must_be(os.EX_CONFIG)
    ended.error_line("source.controls.focus", "no such control", "brightness")
    listed = json.loads(pi_detector("cameras", "--json").out)["cameras"]
    names = [each["name"] for each in listed[0]["controls"]]
    assert "brightness" in names, names
    assert "GREY" in listed[0]["pixel_formats"], listed[0]["pixel_formats"]
    set_control("brightness=128")
    return f"mean {dark:.0f} to {bright:.0f}; {len(names)} controls"


def controls_at_a_reload() -> str:
    """A reload changes a control of the running camera, which is not opened again."""
    config = Path("/tmp/config.toml")
    text = f'[source]\nuri = "{URI}"\n[source.controls]\nbrightness = '
    config.write_text(f"{text}100\n")
    with Watched("--config", str(config)) as run:
        run.more_frames(1, START_S)
        assert control("brightness") == 100
        before = len(run.records)
        config.write_text(f"{text}150\n")
        run.process.send_signal(signal.SIGHUP)
        run.more_frames(3, START_S)
        assert control("brightness") == 150
        told = [record for record in run.records[before:] if is_of_the_source(record)]
        assert not told, told
    set_control("brightness=128")
    return "100 to 150"


def grey_camera() -> str:
    """The pixel formats of infrared cameras: 8 and 16 bits of grey; one that is not there."""
    seen = {name: picture(pixel_format=name) for name in ("GREY", "Y16")}
    for name, grey in seen.items():
        assert np.array_equal(grey[:, :, 0], grey[:, :, 2]), name
        assert grey.std() > 20, f"{name}: {grey.std()}"
    ended = pi_detector("run", "--source", URI, "--set", "source.pixel_format=H264")
    ended.must_be(os.EX_CONFIG)
    ended.error_line("source.pixel_format", "GREY")
    return str({name: round(float(grey.mean())) for name, grey in seen.items()})


def picture(**settings: object) -> np.ndarray:
    """The third picture of the camera with these settings of ``[source]``."""
    source = make_source(SourceSettings(uri=URI, **settings))
    source.open()
    try:
        frames = [source.read() for _ in range(3)]
    finally:
        source.close()
    assert frames[-1] is not None
    return frames[-1].image


def control(name: str) -> int:
    """The value of a control of the driver."""
    done = subprocess.run(
        ["v4l2-ctl", "-d", str(NODE), "-C", name], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split(":")[1])


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
    """Without recovery: the run ends when the camera goes away; a new one reads it again."""
    with running("--source", URI, *DEADLINE, *NO_RECOVERY) as process:
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
    """Without recovery: a read of a silent camera ends at our deadline, not OpenCV's of 10 s."""
    with running("--source", URI, *DEADLINE, *NO_RECOVERY) as process, stalled():
        ended = Ended(process, START_S)
    ended.must_be(os.EX_UNAVAILABLE)
    line = ended.error_line(URI, "source.read_timeout_s")
    waited = re.search(r"no frame for ([\d.]+) s", line)
    assert waited, line
    assert READ_TIMEOUT_S * 0.9 <= float(waited[1]) < READ_TIMEOUT_S + 2, line
    assert ended.seconds < READ_TIMEOUT_S + FRAME_S, f"took {ended.seconds:.1f} s"


def replugged_camera() -> str:
    """The camera goes away for a while, and the same run goes on."""
    with Watched("--source", URI, *DEADLINE) as run:
        run.more_frames(1, START_S)
        before = len(run.records)
        plug("unbind")
        try:
            run.state("reopening", READ_TIMEOUT_S + FRAME_S, before)
            time.sleep(OUTAGE_S)
        finally:
            plug("bind")
        return recovered(run)


def resumed_camera() -> str:
    """The camera stalls for a while, and the same run goes on."""
    with Watched("--source", URI, *DEADLINE) as run:
        run.more_frames(1, START_S)
        before = len(run.records)
        with stalled():
            run.state("stalled", READ_TIMEOUT_S + FRAME_S, before)
            time.sleep(OUTAGE_S)
        return recovered(run)


def recovered(run: Watched) -> str:
    """The camera works again: a run must say so, and process frames."""
    works = time.monotonic()
    before = len(run.records)
    run.state("live", RECOVERY_S, before)
    live_s = time.monotonic() - works
    (frame, _) = run.more_frames(2, START_S)
    assert frame["source"] == URI, frame
    numbers = [record["sequence"] for record in run.records if is_of_a_frame(record)]
    assert numbers == sorted(set(numbers)), f"numbered anew: {numbers}"
    return f"live {live_s:.1f} s after the camera worked again"


def stepped_clock() -> str:
    """The wall clock is set an hour ahead, then two back: nobody takes that for a stall."""
    with Watched("--source", URI, *DEADLINE) as run:
        run.more_frames(2, START_S)
        before = len(run.records)
        try:
            for hours in (1, -2):
                step_clock(hours)
                newest = run.more_frames(3, START_S)[-1]
                behind_s = time.time() - datetime.fromisoformat(newest["time"]).timestamp()
                assert 0 <= behind_s < START_S, f"{newest['time']} is {behind_s:.0f} s behind"
        finally:
            step_clock(1)
    told = [record for record in run.records[before:] if is_of_the_source(record)]
    assert not told, told
    frames = [record for record in run.records if is_of_a_frame(record)]
    latencies = [record["timings_ms"]["latency"] for record in frames]
    assert min(latencies) > 0, latencies
    assert max(latencies) < FRAME_S * 1000, latencies
    times = [record["monotonic_ns"] for record in frames]
    assert times == sorted(set(times)), times
    return f"{len(frames)} frames, latency {min(latencies):.0f} to {max(latencies):.0f} ms"


def step_clock(hours: int) -> None:
    """Set the wall clock, as ``date -s`` or a time server does."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + hours * 3600)


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


CHECKS: tuple[Callable[[], str | None], ...] = (
    camera_is_found,
    auto_takes_the_camera,
    ten_frames,
    isolated_camera,
    turned_camera,
    control_of_the_camera,
    controls_at_a_reload,
    grey_camera,
    busy_camera,
    absent_camera,
    forbidden_camera,
    unplugged_camera,
    stalled_camera,
    replugged_camera,
    resumed_camera,
    stepped_clock,
    terminated,
    terminated_while_stalled,
)


if __name__ == "__main__":
    make(CHECKS)
