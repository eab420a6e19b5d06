"""Packets on the link from a decoder's process, which may be taken over; and cut keyframes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from pi_detector.core.packets import Packet, PacketHub, Track
from pi_detector.sources.isolated_link import (
    LONGEST_PACKET,
    Message,
    PacketBegins,
    PacketPart,
    TrackBegins,
    decode,
    encode,
)
from pi_detector.sources.isolated_packets import PacketReceiver, PacketSender

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRACK = Track("h264", b"\0\0\0\1\x67abc", 640, 480)


def packet(size: int, at_ns: int, track: Track = TRACK) -> Packet:
    return Packet(track, bytes(range(256)) * (size // 256 + 1), True, at_ns, 3, NOW)


def test_packets_of_any_size_arrive_as_they_were_sent() -> None:
    taken: list[Packet] = []
    receiver = PacketReceiver(taken.append)

    def send(message: Message) -> None:
        packed = encode(message)
        assert len(packed) <= LONGEST_PACKET
        receiver.put(decode(packed))  # type: ignore[arg-type]

    sender = PacketSender(send)
    other = Track("hevc", b"\0\0\0\1\x40abc", 1920, 1080)
    sent = [packet(1, 1), packet(200_000, 2), packet(48 * 1024 - 256, 3), packet(10, 4, other)]
    for each in sent:
        sender.put(each)
    assert taken == sent


BEGUN = PacketBegins(4, True, 5, 0, NOW)
TRACKED = TrackBegins("h264", b"\0\0\0\1\x67", 64, 48)


@pytest.mark.parametrize(
    "messages",
    [
        [PacketPart(b"x")],
        [BEGUN, PacketPart(b"1234")],
        [TRACKED, BEGUN, BEGUN],
        [TRACKED, BEGUN, PacketPart(b"12345")],
        [TRACKED, PacketBegins(0, True, 5, 0, NOW)],
        [TRACKED, PacketBegins(1 << 40, True, 5, 0, NOW)],
        [TRACKED, BEGUN, PacketPart(b"1234"), BEGUN, PacketPart(b"1234")],
        [TRACKED, PacketBegins(4, True, 5, -1, NOW), PacketPart(b"1234")],
        [TRACKED, PacketBegins(4, True, 5, 0, datetime(2026, 1, 2)), PacketPart(b"1234")],
        [TrackBegins("mjpeg", b"x", 64, 48)],
        [TrackBegins("h264", b"", 64, 48)],
        [TrackBegins("h264", bytes(5000), 64, 48)],
        [TrackBegins("h264", b"x", 64, 1 << 30)],
    ],
)
def test_what_cannot_be_is_refused(messages: list[Any]) -> None:
    receiver = PacketReceiver(lambda packet: None)
    *before, last = messages
    for message in before:
        receiver.put(message)
    with pytest.raises(ValueError, match=r"packet|track"):
        receiver.put(last)


def test_all_readers_get_all_packets() -> None:
    hub = PacketHub()
    assert not hub.wanted
    first: list[Packet] = []
    second: list[Packet] = []
    readers: tuple[Callable[[Packet], None], ...] = (first.append, second.append)
    for reader in readers:
        hub.add(reader)
    hub.put(packet(1, 1))
    assert hub.wanted
    assert first == second == [packet(1, 1)]


def test_a_keyframe_that_is_cut_is_joined() -> None:
    av = pytest.importorskip("av")
    from pi_detector.sources.whole_packets import WholePackets

    def part(data: bytes, dts: int | None, *, key: bool = False) -> Any:
        one: Any = av.Packet(data)
        one.dts = one.pts = dts
        one.time_base = Fraction(1, 90000)
        one.is_keyframe = key
        return one

    whole = WholePackets(intra_only=False)
    given = [(b"a", None, True), (b"b", 0, True), (b"c", 1, False), (b"d", 2, True)]
    given += [(b"e", 2, True), (b"f", 3, False), (b"g", 4, False)]
    taken = [
        (bytes(each), each.dts, each.is_keyframe)
        for data, dts, key in given
        for each in whole.take(part(data, dts, key=key))
    ]
    # The first keyframe shows that they are cut, and was given away by then.
    assert taken == [
        *((b"a", None, True), (b"b", 0, True), (b"c", 1, False)),
        *((b"de", 2, True), (b"f", 3, False)),
    ]
    plain = WholePackets(intra_only=False)
    assert [len(plain.take(part(b"x", number))) for number in range(5)] == [1] * 5


def test_a_keyframe_has_its_parameter_sets_though_the_camera_sent_them_once() -> None:
    av = pytest.importorskip("av")
    from pi_detector.sources.framing import Moment
    from pi_detector.sources.packets_av import PacketMaker

    headers = b"\0\0\0\1\x67abc\0\0\0\1\x68def"

    class Context:
        name, width, height, extradata = "h264", 64, 48, headers

    class Stream:
        codec_context = Context()

    taken: list[Packet] = []
    maker = PacketMaker(Stream(), taken.append)
    for number, data in enumerate((b"\0\0\1\x65key", b"\0\0\1\x41other")):
        sent: Any = av.Packet(data)
        sent.pts = sent.dts = number
        sent.time_base, sent.is_keyframe = Fraction(1, 25), number == 0
        maker.put(sent, Moment.now())
    assert [packet.data for packet in taken] == [
        headers + b"\0\0\1\x65key",
        b"\0\0\1\x41other",
    ]
    assert taken[0].track == Track("h264", headers, 64, 48)
