"""A USB webcam in user space, for the kernel's own driver ``uvcvideo``.

The kernel's ``vhci_hcd`` is a USB host controller whose ports are sockets: whoever speaks USB/IP on
the other end is the device. This program is one of the USB video class, with MJPEG and YUYV (or
one of them) of 640×480 over a bulk endpoint. Ending it, by whatever signal, pulls the plug; SIGUSR1
makes it hang (it answers, and sends no pictures), SIGUSR2 ends that.

Sources: USB/IP protocol, Documentation/usb/usbip_protocol.rst of Linux; USB Device Class Definition
for Video Devices 1.0, chapters 3 (descriptors) and 4 (requests), and its payload specifications.

It has one control, its brightness, which changes the pictures of YUYV.

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

from webcam_descriptors import (
    BRIGHTNESS,
    BRIGHTNESS_CONTROL,
    CLASS_READ,
    CLASS_WRITE,
    COMMIT_CONTROL,
    CONFIGURATION,
    CONTROL,
    DEVICE,
    FORMATS,
    FPS,
    GET_CUR,
    GET_DEF,
    GET_DESCRIPTOR,
    GET_INFO,
    GET_INTERFACE,
    GET_LEN,
    GET_MAX,
    GET_MIN,
    GET_STATUS,
    HEIGHT,
    PAYLOAD_BYTES,
    PROBE_BYTES,
    PROBE_CONTROL,
    PROCESSING_UNIT,
    SET_CUR,
    STREAMING,
    STRING,
    STRINGS,
    WIDTH,
    YUYV_BYTES,
    Format,
    configuration_descriptor,
    device_descriptor,
    probe,
    string_descriptor,
)

ATTACH = Path("/sys/devices/platform/vhci_hcd.0/attach")
PORT, DEVICE_ID, HIGH_SPEED = 0, 0x10001, 3

HEADER_BYTES = 2
PICTURE_S = 1.0

# USB/IP.
SUBMIT, UNLINK, SUBMIT_ANSWER, UNLINK_ANSWER = 1, 2, 3, 4
HEADER_SIZE = 48
EPIPE, ECONNRESET = 32, 104


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
        self.brightness = 0
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
        picture = self._pictures[number].encoded(self._format)
        return brighter(picture, self.brightness) if self._format == "yuyv" else picture


def brighter(yuyv: bytes, steps: int) -> bytes:
    """A picture whose every second byte, the luma, is raised."""
    raised = bytearray(yuyv)
    table = bytes(min(max(luma + steps, 0), 255) for luma in range(256))
    raised[::2] = raised[::2].translate(table)
    return bytes(raised)


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
            if (request, control, index) == (SET_CUR, BRIGHTNESS_CONTROL, PROCESSING_UNIT << 8):
                (self._stream.brightness,) = struct.unpack("<h", data)
                print(f"brightness {self._stream.brightness} is asked for", flush=True)
                self._cable.answer(sequence, 0, b"", taken=len(data))
                return
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
        if (control, index) == (BRIGHTNESS_CONTROL, PROCESSING_UNIT << 8):
            return self._brightness(request)
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

    def _brightness(self, request: int) -> bytes | None:
        if request == GET_INFO:
            return b"\x03"
        if request == GET_LEN:
            return struct.pack("<H", 2)
        value = {GET_CUR: self._stream.brightness, **BRIGHTNESS}.get(request)
        return None if value is None else struct.pack("<h", value)


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
