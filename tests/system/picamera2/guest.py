"""pi-detector with the true picamera2 and libcamera. Runs as root in the guest of run.sh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import picture
from checks import (
    FRAME_S,
    START_S,
    Ended,
    Watched,
    labels,
    make,
    pi_detector,
    start,
    wait_until,
)
from usb import LOG as WEBCAM_LOG
from usb import SIZE, Webcam, write_pictures

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import (
    SourcePermissionError,
    SourceStalledError,
    SourceStuckError,
)
from pi_detector.sources.picamera import PicameraSource, list_cameras
from pi_detector.sources.registry import make_source

URI = "picamera:0"
READ_TIMEOUT_S = 3.0
SETTINGS = SourceSettings(uri=URI, read_timeout_s=READ_TIMEOUT_S)
MODEL_SIZE = (300, 300)
SHIMS = Path(__file__).parent / "shims"
FIRMWARE_NODE = Path("/tmp/firmware_node.so")
# Raspberry Pi's kernels have a DMA heap of this name; Debian's have the first one only.
HEAP = Path("/dev/dma_heap/system")
PIS_HEAP = HEAP.with_name("linux,cma")
VIRTUAL = Path("/usr/share/libcamera/pipeline/virtual")
VIRTUAL_CAMERA = """\
%YAML 1.1
---
"Virtual0":
  supported_formats:
  - width: 640
    height: 480
    frame_rates:
    - 30
  frames:
    path: "/usr/share/libcamera/pipeline/virtual/frames"
  location: CameraLocationFront
  model: "Frames"
...
"""

webcam = Webcam()


def plug(*formats: str) -> None:
    """Plug the webcam in, and wait until libcamera lists it."""
    webcam.plug(*formats)
    wait_until(lambda: bool(list_cameras()), "a camera in libcamera's list")


def read_some(source: PicameraSource) -> list[Frame]:
    """A few frames of an open source, of the right size and order."""
    frames = [source.read() for _ in range(5)]
    width, height = SIZE
    assert [frame.image.shape for frame in frames] == [(height, width, 3)] * 5, frames
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times)), times
    return frames


def opened(settings: SourceSettings = SETTINGS) -> PicameraSource:
    """An open source."""
    source = PicameraSource("0", settings)
    source.open(MODEL_SIZE)
    return source


def without_dma_heap() -> str:
    """Its memory is refused: every try says so, and a later one works in the same process."""
    said = ""
    for _ in range(2):
        try:
            opened()
        except SourcePermissionError as error:
            said = str(error)
        else:
            raise AssertionError("opened")
    PIS_HEAP.symlink_to(HEAP)
    source = opened()
    try:
        read_some(source)
    finally:
        source.close()
    return said


def webcam_is_listed() -> str:
    """libcamera lists it; pi-detector leaves it to V4L2, and says so."""
    (camera,) = list_cameras()
    assert camera.model == "Webcam of the tests", camera
    doctor = pi_detector("doctor", "--json")
    found = [check for check in json.loads(doctor.out)["checks"] if "camera" in str(check)]
    assert any("v4l2:/dev/video0" in str(check) for check in found), doctor.out
    return camera.model


def colours_of_mjpeg() -> str:
    """libcamera changes the format that was asked for to MJPEG; the pictures are RGB."""
    source = opened()
    try:
        frames = read_some(source)
    finally:
        source.close()
    return f"{granted(source)}: {picture.check_colours(frames[-1].image)}"


def colours_of_yuyv() -> str:
    """The same of a webcam that has no MJPEG."""
    webcam.unplug()
    plug("yuyv")
    try:
        source = opened()
        try:
            frames = read_some(source)
        finally:
            source.close()
    finally:
        webcam.unplug()
        plug()
    assert granted(source) == "YUYV", granted(source)
    return f"{granted(source)}: {picture.check_colours(frames[-1].image)}"


def granted(source: PicameraSource) -> str:
    """The format of the pictures that libcamera delivers."""
    return str(source._granted["main"]["format"])


def turned_camera() -> str:
    """What libcamera cannot mirror is turned by OpenCV, what it scales for the model too."""
    turned = {}
    for degrees in (90, 180, 270):
        source = make_source(msgspec.structs.replace(SETTINGS, rotate=degrees))
        source.open(MODEL_SIZE)
        try:
            frames = [frame for _ in range(3) if (frame := source.read())]
        finally:
            source.close()
        turned[degrees] = frames[-1].image
        if (small := frames[-1].model_input) is not None:
            assert small.shape[:2] == MODEL_SIZE, small.shape
    return picture.check_turned(turned)


def control_of_the_camera() -> str:
    """libcamera's name of a control, on the open camera, and one that is not there.

    This pipeline of libcamera ignores what is set at the start, which those of Pi cameras obey.
    """
    source = opened()
    try:
        for wanted, value in (({"Brightness": 0.5}, 32), ({"Brightness": -0.5}, -32), ({}, 0)):
            WEBCAM_LOG.write_text("")
            assert source.adjust(wanted)
            read_some(source)
            asked = f"brightness {value} is asked for"
            wait_until(lambda asked=asked: asked in WEBCAM_LOG.read_text(), asked)
    finally:
        source.close()
    ended = pi_detector("run", "--source", URI, "--set", "source.controls.LensPosition=1")
    ended.must_be(os.EX_CONFIG)
    return ended.error_line("source.controls.LensPosition", "no such control", "Brightness")


def person_before_the_webcam() -> str:
    """A run on ``picamera:0`` finds the person."""
    ended = pi_detector("run", "--source", URI, "--frames", "5")
    ended.must_be(os.EX_OK)
    frames = ended.frames()
    assert len(frames) == 5, ended.out
    assert all(frame["source"] == URI for frame in frames), frames
    assert "person" in labels(frames), labels(frames)
    return f"found {sorted(labels(frames))}"


def busy_camera() -> str:
    """Another program uses the camera."""
    with Watched("--source", URI) as other:
        other.more_frames(1, START_S)
        ended = pi_detector("run", "--source", URI)
        other.more_frames(1, START_S)
    ended.must_be(os.EX_TEMPFAIL)
    return ended.error_line(URI, "in use by another program")


def unplugged_while_read() -> str:
    """After an unplug a read and the close end within their deadlines."""
    source = opened()
    read_some(source)
    webcam.unplug()
    try:
        started = time.monotonic()
        while True:
            try:
                source.read()
            except SourceStalledError as error:
                said = str(error)
                break
        read_s = time.monotonic() - started
        assert read_s < READ_TIMEOUT_S + 2, f"reading took {read_s:.1f} s"
        started = time.monotonic()
        closing = "closed"
        try:
            source.close()
        except SourceStuckError as error:
            closing = str(error)
        close_s = time.monotonic() - started
        assert closing == "closed" or "restart pi-detector" in closing, closing
        assert close_s < READ_TIMEOUT_S + 2, f"closing took {close_s:.1f} s"
    finally:
        plug()
    return f"{said} after {read_s:.1f} s; {closing} after {close_s:.1f} s"


def unplugged_without_recovery() -> str:
    """A run ends, with an error, when it is told to."""
    options = ("--set", f"source.read_timeout_s={READ_TIMEOUT_S}", "--set", "recovery.mode=off")
    with Watched("--source", URI, *options) as run:
        run.more_frames(1, START_S)
        webcam.unplug()
        try:
            code = run.wait(READ_TIMEOUT_S * 2 + FRAME_S)
        finally:
            plug()
    assert code == os.EX_UNAVAILABLE, f"{code}: {''.join(run.log[-30:])}"
    return run.log[-1].strip()


def unplugged_and_plugged_in_again() -> str:
    """A run goes on when the camera is back, by itself or by ending for a restart."""
    with Watched("--source", URI, "--set", f"source.read_timeout_s={READ_TIMEOUT_S}") as run:
        run.more_frames(1, START_S)
        webcam.unplug()
        time.sleep(READ_TIMEOUT_S * 2)
        plug()
        plugged = time.monotonic()
        run.more_frames(2, 120)
        return f"went on {time.monotonic() - plugged:.1f} s after it was plugged in"


def virtual_camera() -> str:
    """A camera of which libcamera delivers NV12: colours, and the person."""
    webcam.unplug()
    frames = VIRTUAL / "frames"
    frames.mkdir(parents=True)
    write_pictures(frames)
    # libcamera takes every file for a picture.
    for path in frames.glob("*.yuyv"):
        path.unlink()
    for number, path in enumerate(sorted(frames.glob("*.jpg"))):
        path.rename(frames / f"{number}.jpg")
    (VIRTUAL / "virtual.yaml").write_text(VIRTUAL_CAMERA)
    snapshots = Path("/tmp/snapshots")
    command = [sys.executable, "-m", "virtual_pipeline", "run", "--source", URI, "--frames", "5"]
    ended = Ended(start([*command, "--snapshots", str(snapshots)]), START_S)
    ended.must_be(os.EX_OK)
    records = ended.frames()
    assert "person" in labels(records), labels(records)
    assert "NV12" in ended.err, ended.err
    shown = max(snapshots.glob("*.jpg"))
    return f"NV12: {picture.check_colours(picture.load(shown))}, found {sorted(labels(records))}"


CHECKS: tuple[Callable[[], str | None], ...] = (
    without_dma_heap,
    webcam_is_listed,
    colours_of_mjpeg,
    colours_of_yuyv,
    turned_camera,
    control_of_the_camera,
    person_before_the_webcam,
    busy_camera,
    unplugged_while_read,
    unplugged_without_recovery,
    unplugged_and_plugged_in_again,
    virtual_camera,
)


def with_shims() -> None:
    """Start this program again, with what picamera2 and libcamera miss here."""
    source = SHIMS / "firmware_node.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", FIRMWARE_NODE, source], check=True)
    environment = os.environ | {
        "LD_PRELOAD": str(FIRMWARE_NODE),
        "PYTHONPATH": f"{os.environ['PYTHONPATH']}:{SHIMS}",
    }
    os.execve(sys.executable, [sys.executable, __file__], environment)


if __name__ == "__main__":
    if "LD_PRELOAD" not in os.environ:
        with_shims()
    plug()
    make(CHECKS)
