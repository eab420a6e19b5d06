"""What pi-detector does with a USB webcam and its faults. Runs as root in the guest of run.sh."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable

import picture
from checks import FRAME_S, START_S, Ended, Watched, labels, make, pi_detector, running
from usb import NODE, SIZE, Webcam

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.sources.discover import find_cameras
from pi_detector.sources.registry import make_source

URI = f"v4l2:{NODE}"
READ_TIMEOUT_S = 3.0
DEADLINE = ("--set", f"source.read_timeout_s={READ_TIMEOUT_S}")
NO_RECOVERY = ("--set", "recovery.mode=off")
# After this time without a camera the pauses between tries are of two seconds or less.
OUTAGE_S = 4.0
RECOVERY_S = 30.0

webcam = Webcam()


def webcam_is_found() -> str:
    """The webcam is listed once, though it has a second node, for metadata."""
    assert NODE.with_name("video1").exists(), "the driver's node for metadata"
    (camera,) = find_cameras()
    assert camera.uri == URI, camera
    doctor = pi_detector("doctor", "--json")
    checks = json.loads(doctor.out)["checks"]
    assert any(c["level"] == "ok" and URI in str(c) for c in checks), doctor.out
    return camera.description


def colours_of_its_pictures() -> str:
    """Pictures of the API are RGB, of the size asked for."""
    return colours()


def webcam_without_mjpeg() -> str:
    """So are those of a webcam that has only uncompressed pictures."""
    webcam.unplug()
    webcam.plug("yuyv")
    try:
        return colours()
    finally:
        webcam.unplug()
        webcam.plug()


def turned_webcam() -> str:
    """A webcam that cannot mirror: its frames are turned by OpenCV."""
    return picture.check_turned({each: read(rotate=each)[-1].image for each in (90, 180, 270)})


def control_of_the_webcam() -> str:
    """A control by its name, one that it does not have, and the list of all."""
    means = {}
    for value in (-40, 0, 40):
        frames = read(controls={"brightness": value}, pixel_format="YUYV")
        means[value] = float(frames[-1].image.mean())
    assert means[-40] + 25 < means[0] < means[40] - 25, means
    ended = pi_detector("run", "--source", URI, "--set", "source.controls.focus_absolute=1")
    ended.must_be(os.EX_CONFIG)
    ended.error_line("source.controls.focus_absolute", "no such control", "brightness")
    (listed,) = json.loads(pi_detector("cameras", "--json").out)["cameras"]
    assert [each["name"] for each in listed["controls"]] == ["brightness"], listed["controls"]
    assert {"MJPG", "YUYV"} <= set(listed["pixel_formats"]), listed["pixel_formats"]
    return f"mean {means[-40]:.0f}, {means[0]:.0f}, {means[40]:.0f}"


def read(**settings: object) -> list[Frame]:
    """The first frames of the webcam with these settings of ``[source]``."""
    source = make_source(SourceSettings(uri=URI, **settings))
    source.open()
    try:
        return [frame for _ in range(5) if (frame := source.read())]
    finally:
        source.close()


def colours() -> str:
    """Read a few pictures, and check the last one."""
    frames = read()
    width, height = SIZE
    assert [frame.image.shape for frame in frames] == [(height, width, 3)] * 5, frames
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times)), times
    return picture.check_colours(frames[-1].image)


def person_before_it() -> str:
    """A run asks for MJPEG, and finds the person."""
    ended = pi_detector("run", "--source", URI, "--frames", "10")
    ended.must_be(os.EX_OK)
    records = ended.frames()
    assert len(records) == 10, f"{len(records)} records"
    assert "person" in labels(records), f"found {labels(records)}"
    granted = re.search(r"640x480 MJPG at .* frames/s", ended.err)
    assert granted, ended.err
    return f"{granted[0]}; found {sorted(labels(records))}"


def unplugged_webcam() -> str:
    """Without recovery: pulled out while it is read, and the run ends at once."""
    with running("--source", URI, *DEADLINE, *NO_RECOVERY) as process:
        webcam.unplug()
        try:
            ended = Ended(process, START_S)
        finally:
            webcam.plug()
    ended.must_be(os.EX_UNAVAILABLE)
    ended.error_line(URI, "the stream ended; check the cable")
    assert ended.seconds < READ_TIMEOUT_S + FRAME_S, f"took {ended.seconds:.1f} s"
    pi_detector("run", "--source", URI, "--frames", "2").must_be(os.EX_OK)
    return f"ended after {ended.seconds:.1f} s"


def hung_webcam() -> str:
    """Without recovery: it sends nothing, and reading it ends at the deadline."""
    with running("--source", URI, *DEADLINE, *NO_RECOVERY) as process:
        webcam.hang()
        try:
            ended = Ended(process, START_S)
        finally:
            webcam.go_on()
    ended.must_be(os.EX_UNAVAILABLE)
    line = ended.error_line(URI, "source.read_timeout_s")
    waited = re.search(r"no frame for ([\d.]+) s", line)
    assert waited, line
    assert READ_TIMEOUT_S * 0.9 <= float(waited[1]) < READ_TIMEOUT_S + 2, line
    assert ended.seconds < READ_TIMEOUT_S + FRAME_S, f"took {ended.seconds:.1f} s"
    pi_detector("run", "--source", URI, "--frames", "2").must_be(os.EX_OK)
    return f"ended after {ended.seconds:.1f} s"


def replugged_webcam() -> str:
    """Pulled out and, later, plugged in again: the same run goes on."""
    with Watched("--source", URI, *DEADLINE) as run:
        run.more_frames(1, START_S)
        before = len(run.records)
        webcam.unplug()
        try:
            run.state("reopening", READ_TIMEOUT_S + FRAME_S, before)
            time.sleep(OUTAGE_S)
        finally:
            webcam.plug()
        return recovered(run)


def recovered_webcam() -> str:
    """It hangs for a while: the same run goes on."""
    with Watched("--source", URI, *DEADLINE) as run:
        run.more_frames(1, START_S)
        before = len(run.records)
        webcam.hang()
        try:
            run.state("stalled", READ_TIMEOUT_S + FRAME_S, before)
            time.sleep(OUTAGE_S)
        finally:
            webcam.go_on()
        return recovered(run)


def recovered(run: Watched) -> str:
    """The webcam works again: a run must say so, and find the person again."""
    works = time.monotonic()
    before = len(run.records)
    run.state("live", RECOVERY_S, before)
    live_s = time.monotonic() - works
    frames = run.more_frames(2, START_S)
    assert "person" in labels(frames), labels(frames)
    return f"live {live_s:.1f} s after it worked again, found {sorted(labels(frames))}"


CHECKS: tuple[Callable[[], str | None], ...] = (
    webcam_is_found,
    colours_of_its_pictures,
    webcam_without_mjpeg,
    turned_webcam,
    control_of_the_webcam,
    person_before_it,
    unplugged_webcam,
    hung_webcam,
    replugged_webcam,
    recovered_webcam,
)


if __name__ == "__main__":
    webcam.plug()
    make(CHECKS)
