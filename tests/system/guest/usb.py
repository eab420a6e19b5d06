"""A webcam that is plugged in, pulled out and hung: webcam.py, which shows picture.py."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import picture
from checks import wait_until

NODE = Path("/dev/video0")
# What the webcam was asked for.
LOG = Path("/tmp/webcam.log")
SIZE = (640, 480)
# The view at these times; each is shown for a second.
PICTURE_TIMES_S = (0.0, 2.0, 4.0, 6.0)


def nodes() -> list[Path]:
    """The nodes of cameras that are plugged in."""
    return sorted(Path("/dev").glob("video*"))


def write_pictures(folder: Path) -> None:
    """The picture at some times, as JPEG and as YUYV."""
    import cv2

    for time_s in PICTURE_TIMES_S:
        image = picture.render(SIZE, time_s)
        path = folder / f"{time_s:04.1f}.jpg"
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, 85]):
            raise OSError(f"{path} was not written")
        yuyv = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_YUY2)
        path.with_suffix(".yuyv").write_bytes(yuyv.tobytes())


class Webcam:
    """The webcam of the tests; not yet plugged in."""

    def __init__(self) -> None:
        self._pictures = Path(tempfile.mkdtemp(prefix="pictures-"))
        write_pictures(self._pictures)
        self._process: subprocess.Popen[bytes] | None = None

    def plug(self, *formats: str) -> None:
        """Plug it in, and wait for a node: NODE, unless somebody still holds that of before.

        Args:
            formats: ``mjpeg`` and ``yuyv``, or one of them; both if none is named.
        """
        program = Path(__file__).with_name("webcam.py")
        with LOG.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    str(program),
                    str(self._pictures),
                    *(formats or ("mjpeg", "yuyv")),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: bool(nodes()), "a camera after plugging in")

    def unplug(self) -> None:
        """Pull it out, and wait until its nodes are gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not nodes(), "no camera after pulling out")

    def hang(self) -> None:
        """It answers, and sends no pictures."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def go_on(self) -> None:
        """It sends pictures again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)
