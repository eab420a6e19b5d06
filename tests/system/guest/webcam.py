"""A USB webcam in user space, for the kernel's own driver ``uvcvideo``.

The kernel's ``vhci_hcd`` is a USB host controller whose ports are sockets: whoever speaks USB/IP on
the other end is the device. This program is one of the USB video class, with MJPEG and YUYV (or
one of them) of 640×480 over a bulk endpoint. Ending it, by whatever signal, pulls the plug; SIGUSR1
makes it hang (it answers, and sends no pictures), SIGUSR2 ends that.

Sources: USB/IP protocol, Documentation/usb/usbip_protocol.rst of Linux; USB Device Class Definition
for Video Devices 1.0, chapters 3 (descriptors) and 4 (requests), and its payload specifications.

Usage: webcam.py FOLDER FORMAT...    (as root, with the modules vhci-hcd and uvcvideo)
  FOLDER  has pairs of NAME.jpg and NAME.yuyv
  FORMAT  mjpeg, yuyv: those that the camera offers
"""

from __future__ import annotations

import itertools
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ATTACH = Path("/sys/devices/platform/vhci_hcd.0/attach")
PORT, DEVICE_ID, HIGH_SPEED = 0, 0x10001, 3

WIDTH, HEIGHT, FPS = 640, 480, 30
YUYV_BYTES = WIDTH * HEIGHT * 2
Format = Literal["mjpeg", "yuyv"]
FORMATS: tuple[Format, ...] = ("mjpeg", "yuyv")
FRAME_INTERVAL_100NS = 10_000_000 // FPS
# A payload is one transfer here: two bytes of header, then a part of a picture.
PAYLOAD_BYTES = 16384
HEADER_BYTES = 2
PICTURE_S = 1.0

# Interfaces and the bulk endpoint.
CONTROL, STREAMING, ENDPOINT = 0, 1, 0x81
# Descriptor types.
DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT_TYPE, ASSOCIATION = 1, 2, 3, 4, 5, 11
CLASS_INTERFACE = 0x24
VIDEO_CLASS = 0x0E
# Requests: standard ones, and those of the video class.
GET_STATUS, GET_DESCRIPTOR, GET_INTERFACE = 0, 6, 10
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_LEN, GET_INFO, GET_DEF = (
    1,
    0x81,
    0x82,
    0x83,
    0x85,
    0x86,
    0x87,
)
PROBE_CONTROL, COMMIT_CONTROL = 1, 2
CLASS_WRITE, CLASS_READ = 0x21, 0xA1
PROBE_BYTES = 26
# USB/IP.
SUBMIT, UNLINK, SUBMIT_ANSWER, UNLINK_ANSWER = 1, 2, 3, 4
HEADER_SIZE = 48
EPIPE, ECONNRESET = 32, 104


def descriptor(kind: int, layout: str, *values: int, tail: bytes = b"") -> bytes:
    """A descriptor: its length, its type, and its fields packed by ``layout``."""
    body = struct.pack("<" + layout, *values) + tail
    return bytes([len(body) + 2, kind]) + body


def class_specific(subtype: int, layout: str, *values: int, tail: bytes = b"") -> bytes:
    """A descriptor of an interface of the video class."""
    return descriptor(CLASS_INTERFACE, "B" + layout, subtype, *values, tail=tail)


def frame_descriptor(subtype: int) -> bytes:
    """The only size and rate of a format."""
    bits_per_s = YUYV_BYTES * 8 * FPS
    rate = (FRAME_INTERVAL_100NS, 1, FRAME_INTERVAL_100NS)
    return class_specific(
        subtype, "BBHHIIIIBI", 1, 0, WIDTH, HEIGHT, bits_per_s, bits_per_s, YUYV_BYTES, *rate
    )


def device_descriptor() -> bytes:
    """USB 2.0, class "see the interfaces", and the numbers of three strings."""
    vendor, product, release = 0x1D6B, 0x0104, 0x0100
    return descriptor(
        DEVICE, "HBBBBHHHBBBB", 0x0200, 0xEF, 2, 1, 64, vendor, product, release, 1, 2, 3, 1
    )


def format_descriptor(number: int, name: Format) -> bytes:
    """A format and its only frame size. Formats are numbered from 1."""
    if name == "mjpeg":
        return class_specific(6, "BBBBBBBB", number, 1, 1, 1, 0, 0, 0, 0) + frame_descriptor(7)
    guid = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    depth = bytes([16, 1, 0, 0, 0, 0])
    return class_specific(4, "BB", number, 1, tail=guid + depth) + frame_descriptor(5)


def configuration_descriptor(formats: Sequence[Format]) -> bytes:
    """The whole tree: a camera terminal, an output terminal, the formats, an endpoint."""
    camera = class_specific(2, "BHBBHHHB", 1, 0x0201, 0, 0, 0, 0, 0, 3, tail=bytes(3))
    output = class_specific(3, "BHBBB", 3, 0x0101, 0, 1, 0)
    control_bytes = 13 + len(camera) + len(output)
    control = class_specific(1, "HHIBB", 0x0100, control_bytes, 48_000_000, 1, STREAMING)

    described = b"".join(format_descriptor(n, name) for n, name in enumerate(formats, 1))
    size = 13 + len(formats) + len(described)
    streaming = class_specific(
        1, "BHBBBBBBB", len(formats), size, ENDPOINT, 0, 3, 0, 0, 0, 1, tail=bytes(len(formats))
    )

    interfaces = (
        descriptor(ASSOCIATION, "BBBBBB", CONTROL, 2, VIDEO_CLASS, 3, 0, 0)
        + descriptor(INTERFACE, "BBBBBBB", CONTROL, 0, 0, VIDEO_CLASS, 1, 0, 0)
        + control + camera + output
        + descriptor(INTERFACE, "BBBBBBB", STREAMING, 0, 1, VIDEO_CLASS, 2, 0, 0)
        + streaming + described
        + descriptor(ENDPOINT_TYPE, "BBHB", ENDPOINT, 2, 512, 0)
    )  # fmt: skip
    return descriptor(CONFIGURATION, "HBBBBB", 9 + len(interfaces), 2, 1, 0, 0x80, 50) + interfaces


STRINGS = ("\u0409", "pi-detector tests", "Webcam of the tests", "0001")


def string_descriptor(number: int) -> bytes:
    """Number 0 is the list of languages, which is US English."""
    return descriptor(STRING, "", tail=STRINGS[number].encode("utf-16-le"))


def probe(format_number: int) -> bytes:
    """What the camera offers for a format: the only frame size and rate, the largest payload."""
    return struct.pack(
        "<HBBIHHHHHII",
        1, format_number, 1, FRAME_INTERVAL_100NS, 0, 0, 0, 0, 0, YUYV_BYTES, PAYLOAD_BYTES,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in both formats."""

    jpeg: bytes
    yuyv: bytes

    def encoded(self, name: Format) -> bytes:
        """Its bytes in a format."""
        return self.jpeg if name == "mjpeg" else self.yuyv


def load_pictures(folder: Path) -> list[Picture]:
    """The pictures of a folder."""
    pictures = [
        Picture(path.read_bytes(), path.with_suffix(".yuyv").read_bytes())
        for path in sorted(folder.glob("*.jpg"))
    ]
    if not pictures or any(len(picture.yuyv) != YUYV_BYTES for picture in pictures):
        raise SystemExit(f"{folder}: give pairs of NAME.jpg and NAME.yuyv of {WIDTH}x{HEIGHT}")
    return pictures


class Cable:
    """The socket between the kernel's controller and the device, and what travels on it."""

    def __init__(self) -> None:
        self._socket, kernels_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with kernels_end:
            ATTACH.write_text(f"{PORT} {kernels_end.fileno()} {DEVICE_ID} {HIGH_SPEED}")
        self._sending = threading.Lock()

    def receive(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            EOFError: the kernel let go of the device.
        """
        received = bytearray()
        while len(received) < size:
            part = self._socket.recv(size - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    def answer(self, sequence: int, status: int, data: bytes, taken: int | None = None) -> None:
        """Complete a transfer: with data for the host, or having taken so many bytes of its."""
        length = len(data) if taken is None else taken
        header = struct.pack(">5I5i8x", SUBMIT_ANSWER, sequence, 0, 0, 0, status, length, 0, 0, 0)
        with self._sending:
            self._socket.sendall(header + data)

    def answer_unlink(self, sequence: int, was_waiting: bool) -> None:
        """Answer a request to cancel a transfer."""
        status = -ECONNRESET if was_waiting else 0
        with self._sending:
            self._socket.sendall(struct.pack(">5Ii24x", UNLINK_ANSWER, sequence, 0, 0, 0, status))


class Stream:
    """The bulk endpoint: a thread that fills the transfers that the host submits."""

    def __init__(self, cable: Cable, pictures: Sequence[Picture]) -> None:
        self._cable = cable
        self._pictures = pictures
        # Transfers that wait: number, and bytes of room. An answer is sent under the lock, so that
        # whoever cancels a transfer finds it either waiting or answered.
        self._waiting: deque[tuple[int, int]] = deque()
        self._changed = threading.Condition()
        self._format: Format = "mjpeg"
        self._commits = 0
        self._hangs = False
        self._started = time.monotonic()
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, sequence: int, room: int) -> None:
        """The host waits for data."""
        with self._changed:
            self._waiting.append((sequence, room))
            self._changed.notify()

    def cancel(self, request: int, sequence: int) -> None:
        """The host does not wait for that transfer any more."""
        with self._changed:
            found = [transfer for transfer in self._waiting if transfer[0] == sequence]
            for transfer in found:
                self._waiting.remove(transfer)
            self._cable.answer_unlink(request, bool(found))

    def commit(self, name: Format) -> None:
        """Begin anew, in this format."""
        with self._changed:
            self._format = name
            self._commits += 1

    def hang(self, hangs: bool) -> None:
        """Stop sending, or go on. A signal's handler calls this: it must not wait for the lock."""
        self._hangs = hangs

    def _run(self) -> None:
        due = time.monotonic()
        for frame_bit in itertools.cycle((0, 1)):
            self._send_picture(frame_bit)
            # After a pause the camera does not make up for what nobody took.
            due = max(due + 1 / FPS, time.monotonic() - 1 / FPS)
            time.sleep(max(0.0, due - time.monotonic()))
            while self._hangs:
                time.sleep(0.05)

    def _send_picture(self, frame_bit: int) -> None:
        """Send one picture; the rest of it is left out when a new format is committed."""
        commits = self._commits
        for is_last, part in parts(self._picture()):
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                if self._commits != commits:
                    return
                sequence, room = self._waiting.popleft()
                assert room >= HEADER_BYTES + len(part), f"a transfer of {room} bytes only"
                # Bits: end of header, end of frame, and one that changes with every frame.
                header = bytes([HEADER_BYTES, 0x80 | (0x02 if is_last else 0) | frame_bit])
                self._cable.answer(sequence, 0, header + part)

    def _picture(self) -> bytes:
        number = int((time.monotonic() - self._started) / PICTURE_S) % len(self._pictures)
        return self._pictures[number].encoded(self._format)


def parts(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """The parts of a picture that fit a payload, and whether each is the last."""
    step = PAYLOAD_BYTES - HEADER_BYTES
    for offset in range(0, len(data), step):
        yield offset + step >= len(data), data[offset : offset + step]


class Webcam:
    """The device: answers the requests on its control endpoint."""

    def __init__(self, cable: Cable, stream: Stream, formats: Sequence[Format]) -> None:
        self._cable = cable
        self._stream = stream
        self._formats = formats
        self._settings = {PROBE_CONTROL: probe(1), COMMIT_CONTROL: probe(1)}

    def serve(self) -> None:
        """Answer until the kernel lets go of the device."""
        while True:
            header = self._cable.receive(HEADER_SIZE)
            command, sequence, _device, to_host, endpoint = struct.unpack(">5I", header[:20])
            if command == UNLINK:
                (cancelled,) = struct.unpack(">I", header[20:24])
                self._stream.cancel(sequence, cancelled)
                continue
            _flags, length, setup = struct.unpack(">Ii12x8s", header[20:])
            if endpoint != CONTROL:
                self._stream.submit(sequence, length)
            elif to_host:
                self._answer_read(sequence, setup)
            else:
                self._take_write(sequence, setup, self._cable.receive(length))

    def _answer_read(self, sequence: int, setup: bytes) -> None:
        kind, request, value, index, length = struct.unpack("<BBHHH", setup)
        data = (
            self._class_value(request, value >> 8, index)
            if kind == CLASS_READ
            else self._standard_value(request, value)
        )
        if data is None:
            self._cable.answer(sequence, -EPIPE, b"")
        else:
            self._cable.answer(sequence, 0, data[:length])

    def _take_write(self, sequence: int, setup: bytes, data: bytes) -> None:
        """Of the standard requests none does anything here."""
        kind, request, value, index, _length = struct.unpack("<BBHHH", setup)
        if kind == CLASS_WRITE:
            control = value >> 8
            if request != SET_CUR or index != STREAMING or control not in self._settings:
                self._cable.answer(sequence, -EPIPE, b"")
                return
            number = data[2] if 1 <= data[2] <= len(self._formats) else 1
            self._settings[control] = probe(number)
            if control == COMMIT_CONTROL:
                print(f"{self._formats[number - 1]} is asked for", flush=True)
                self._stream.commit(self._formats[number - 1])
        self._cable.answer(sequence, 0, b"", taken=len(data))

    def _standard_value(self, request: int, value: int) -> bytes | None:
        if request == GET_STATUS:
            return bytes(2)
        if request == GET_INTERFACE:
            return bytes(1)
        if request != GET_DESCRIPTOR:
            return None
        kind, number = value >> 8, value & 0xFF
        if kind == STRING:
            return string_descriptor(number) if number < len(STRINGS) else None
        if kind == CONFIGURATION:
            return configuration_descriptor(self._formats)
        return device_descriptor() if kind == DEVICE else None

    def _class_value(self, request: int, control: int, index: int) -> bytes | None:
        if index != STREAMING or control not in self._settings:
            return None
        current = self._settings[control]
        return {
            GET_CUR: current,
            GET_MIN: current,
            GET_MAX: current,
            GET_DEF: current,
            GET_LEN: struct.pack("<H", PROBE_BYTES),
            GET_INFO: b"\x03",
        }.get(request)


def main() -> None:
    """Plug the webcam in, and serve."""
    pictures = load_pictures(Path(sys.argv[1]))
    formats = [name for name in FORMATS if name in sys.argv[2:]]
    if not formats:
        raise SystemExit("name the camera's formats: mjpeg, yuyv, or both")
    cable = Cable()
    stream = Stream(cable, pictures)
    signal.signal(signal.SIGUSR1, lambda *_: stream.hang(True))
    signal.signal(signal.SIGUSR2, lambda *_: stream.hang(False))
    print("plugged in", flush=True)
    try:
        Webcam(cable, stream, formats).serve()
    except EOFError:
        print("the kernel let go of it", flush=True)


if __name__ == "__main__":
    main()
