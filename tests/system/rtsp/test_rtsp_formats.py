"""Network cameras of several kinds, read in the confined process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from rtsp_camera import Camera

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import SourceNotFoundError, SourcePermissionError
from pi_detector.sources.base import limit_rate, rest
from pi_detector.sources.registry import make_source

FRAMES = 20
TIMEOUT_S = 10.0


def read(uri: str, frames: int = FRAMES, **settings: object) -> list[int]:
    """Numbers of the first frames."""
    source = make_source(SourceSettings(uri=uri, read_timeout_s=TIMEOUT_S, **settings))  # type: ignore[arg-type]
    source.open()
    try:
        taken = [source.read() for _ in range(frames)]
    finally:
        source.close()
    assert all(frame is not None and frame.image.shape == (480, 640, 3) for frame in taken)
    assert all(frame is not None and frame.image.max() > 200 for frame in taken)  # the ball
    return [frame.sequence for frame in taken if frame is not None]


@pytest.fixture(scope="module")
def camera() -> Iterator[Camera]:
    one = Camera()
    one.start()
    yield one
    one.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("path", ["camera", "audio", "reordered", "hevc", "jpeg"])
def test_formats(camera: Camera, path: str, transport: str) -> None:
    numbers = read(camera.address(path), transport=transport)
    assert len(numbers) == FRAMES
    assert numbers[-1] - numbers[0] >= FRAMES - 1


def test_user_and_password_by_digest() -> None:
    private = Camera("private")
    private.start()
    try:
        assert len(read(private.address("camera", "operator:hunter2@"), 5)) == 5
        with pytest.raises(SourcePermissionError, match=r"asks for user .* \(RTSP 401\)"):
            read(private.address("camera"))
        with pytest.raises(SourcePermissionError, match=r"refuses this user .* \(RTSP 401\)"):
            read(private.address("camera", "operator:wrong@"))
    finally:
        private.kill()


def test_a_path_that_is_not_there(camera: Camera) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no such path \(RTSP 404\)"):
        read(camera.address("none"))


@pytest.mark.parametrize("path", ["camera", "reordered", "hevc"])
def test_a_rate_and_a_still_scene(camera: Camera, path: str) -> None:
    settings = SourceSettings(uri=camera.address(path), read_timeout_s=TIMEOUT_S, idle="keyframes")
    source = make_source(settings)
    source.open()
    try:
        limit_rate(source, 5)
        slow = [source.read() for _ in range(15)]
        limit_rate(source, None)
        rest(source, True)
        still = [source.read() for _ in range(6)]
        rest(source, False)
        moving = [source.read() for _ in range(10)]
    finally:
        source.close()
    assert slow[-1].sequence - slow[5].sequence >= 9 * 2  # of 15 frames per second
    gaps = [after.sequence - before.sequence for before, after in itertools.pairwise(still[2:])]
    assert gaps == [15] * 3
    assert moving[-1].sequence - moving[1].sequence <= 9 * 2
