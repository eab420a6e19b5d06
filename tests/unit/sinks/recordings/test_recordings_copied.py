"""Clips that are copied from a camera's packets: what they hold, and when they are not copied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from encoded_camera import GAP, Encoded
from recorded import (
    HEIGHT,
    START,
    START_NS,
    WIDTH,
    Camera,
    clips,
    play,
    rows,
    settings,
    short_event,
)

from pi_detector.core.packets import Packet, PacketQueue
from pi_detector.sinks.recordings.copying import Copying
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sources.packets_av import PacketTimes, parameter_sets


class CopiedCamera(Camera):
    """Hands the packets over that were captured up to each frame."""

    def __init__(self, folder: Path, packets: list[Packet], wanted: str = "auto") -> None:
        self.allowed = True
        self.copying = Copying(wanted, lambda: self.allowed)
        self.left = list(packets)
        sink = RecordingSink(folder, settings(pre_s=2, post_s=1), copying=self.copying, report=None)
        sink.start()
        super().__init__(sink)

    def frame(self, *args: Any, **changes: Any) -> None:
        until_ns = START_NS + round((self.at_s + 0.1) * 1e9)
        while self.left and self.left[0].captured_ns <= until_ns:
            self.copying.queue.put(self.left.pop(0))
        super().frame(*args, **changes)


def slices(data: bytes, codec: str) -> list[bytes]:
    """The NAL units of pictures, without what stands between them."""
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")]
    if codec == "hevc":
        return [unit for unit in units if unit and (unit[0] >> 1 & 0x3F) < 32]
    return [unit for unit in units if unit and unit[0] & 0x1F in {1, 5}]


def recorded(path: Path, codec: str) -> Iterator[bytes]:
    """The packets of a clip, in the byte stream format."""
    from av.bitstream import BitStreamFilterContext

    with av.open(str(path)) as clip:
        stream: Any = clip.streams.video[0]
        to_annex_b = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        for packet in clip.demux(stream):
            if packet.size:
                yield from map(bytes, to_annex_b.filter(packet))


def record(folder: Path, codec: str, wanted: str = "auto") -> tuple[list[Packet], Path]:
    packets = Encoded(codec).packets(150)
    camera = CopiedCamera(folder, packets, wanted)
    camera.frames(5)
    short_event(camera, "one", seconds=2.0)
    camera.frames(4)
    camera.sink.close()
    (row,) = rows(folder)
    (clip,) = clips(row)
    return packets, folder / clip


@pytest.mark.parametrize(("codec", "wanted"), [("libx264", "auto"), ("libx265", "on")])
def test_a_clip_has_the_cameras_packets_bit_by_bit(tmp_path: Path, codec: str, wanted: str) -> None:
    packets, path = record(tmp_path, codec, wanted)
    name = packets[0].track.codec
    copied = [slices(data, name) for data in recorded(path, name)]
    sent = [slices(packet.data, name) for packet in packets]
    first = sent.index(copied[0])
    assert copied == sent[first : first + len(copied)]
    assert packets[first].keyframe
    assert 50 - 20 - GAP <= first <= 50 - 20, "a keyframe before pre_s"
    assert len(copied) >= 20 + 20 + 10


def test_a_copied_clip_plays_at_the_cameras_speed(tmp_path: Path) -> None:
    _, path = record(tmp_path, "libx264")
    shown = play(path)
    assert shown.numbers == list(range(shown.numbers[0], shown.numbers[-1] + 1))
    gaps = [after - before for before, after in itertools.pairwise(shown.times_s)]
    assert gaps == pytest.approx([0.1] * len(gaps), abs=0.002)


def test_h265_is_encoded_unless_copies_are_asked_for(tmp_path: Path) -> None:
    packets = Encoded("libx265").packets(150)
    camera = CopiedCamera(tmp_path, packets)
    camera.frames(5)
    short_event(camera, "one")
    camera.frames(4)
    camera.sink.close()
    (row,) = rows(tmp_path)
    with av.open(str(tmp_path / clips(row)[0])) as clip:
        assert clip.streams.video[0].codec_context.name == "h264"


def test_a_mask_that_comes_on_the_way_ends_copying_at_once(tmp_path: Path) -> None:
    camera = CopiedCamera(tmp_path, Encoded().packets(200))
    camera.frames(5)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("one", "new")
    camera.frames(2)
    camera.allowed = False
    camera.frames(2)
    camera.tell("one", "end", reason="gone")
    camera.frames(3)
    camera.sink.close()
    (row,) = rows(tmp_path)
    first, second = (play(tmp_path / name) for name in clips(row))
    reordered = 2  # frames that are sent before others which they follow
    assert max(first.numbers) <= 50 + 1 + 20 + reordered
    assert min(second.numbers) == 50 + 1 + 20


def test_another_size_begins_another_clip(tmp_path: Path) -> None:
    small = Encoded().packets(80)
    large = Encoded(size=(2 * WIDTH, 2 * HEIGHT)).packets(120)
    moved = [
        replace(each, captured_ns=each.captured_ns + 8 * 10**9, captured_at=START) for each in large
    ]
    camera = CopiedCamera(tmp_path, [*small, *moved])
    camera.frames(5)
    short_event(camera, "one", seconds=6.0)
    camera.frames(3)
    camera.sink.close()
    (row,) = rows(tmp_path)
    widths = []
    for name in clips(row):
        with av.open(str(tmp_path / name)) as clip:
            widths.append(clip.streams.video[0].width)
    assert widths == [WIDTH, 2 * WIDTH]


def test_without_packets_frames_are_encoded(tmp_path: Path) -> None:
    camera = CopiedCamera(tmp_path, [])
    camera.frames(8)
    short_event(camera, "one")
    camera.frames(3)
    camera.sink.close()
    (row,) = rows(tmp_path)
    assert play(tmp_path / clips(row)[0]).numbers


def test_a_slow_reader_loses_packets_up_to_a_keyframe() -> None:
    packets = Encoded().packets(60)
    queue = PacketQueue(sum(len(each.data) for each in packets[:15]))
    for packet in packets:
        queue.put(packet)
    taken = queue.take()
    assert taken[0].keyframe
    assert taken == packets[packets.index(taken[0]) :][: len(taken)]
    assert queue.take() == []


def test_times_advance_whatever_the_camera_says() -> None:
    second = 10**9
    times = PacketTimes()
    even = [times.next(number * 40_000_000, second + number * 40_000_000) for number in range(3)]
    assert even == [second, second + 40_000_000, second + 80_000_000]
    # Jumps back, jumps far ahead, and none at all: arrival counts, and never goes back.
    for said, arrived in [(-second, 2), (90 * second, 3), (None, 4), (None, 4)]:
        before, now = times._last_ns or 0, times.next(said, arrived * second)
        assert now > before
    # A burst after a pause keeps the camera's distances.
    times = PacketTimes()
    burst = [times.next(40_000_000 * number, 10 * second) for number in range(10)]
    gaps = [after - before for before, after in itertools.pairwise(burst)]
    assert all(38_000_000 <= gap <= 40_000_000 for gap in gaps)


def test_parameter_sets_of_a_packet() -> None:
    data = b"\0\0\0\1\x09\x10" + b"\0\0\0\1\x67abc" + b"\0\0\1\x68def" + b"\0\0\1\x65picture"
    assert parameter_sets(data, "h264") == b"\0\0\0\1\x67abc" + b"\0\0\0\1\x68def"
    assert parameter_sets(b"\0\0\1\x65picture", "h264") == b""
    assert parameter_sets(b"", "hevc") == b""
