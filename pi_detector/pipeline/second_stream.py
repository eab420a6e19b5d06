"""The second stream of a network camera, of which nothing but the packets is used."""

from __future__ import annotations

import logging
import time

import msgspec

from pi_detector.config.settings import Settings
from pi_detector.core.packets import PacketHub
from pi_detector.errors import PiDetectorError
from pi_detector.sources.base import Source, limit_rate, send_packets
from pi_detector.sources.registry import make_source
from pi_detector.sources.supervised import SupervisedSource
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

# Frames show that the stream is well; keyframes alone are decoded for them.
_RATE_FPS = 0.2
_GRACE_S = 10.0


class SecondStream:
    """Reads ``source.record_uri`` on a thread of its own, and reopens it when it fails.

    Args:
        settings: source and recovery.
        packets: takes its packets.
    """

    def __init__(self, settings: Settings, packets: PacketHub) -> None:
        source = msgspec.structs.replace(
            settings.source, uri=settings.source.record_uri, record_uri="", poll_s=0.0
        )
        stream = make_source(source)
        send_packets(stream, packets.put)
        limit_rate(stream, _RATE_FPS)
        self._source = SupervisedSource(
            stream,
            msgspec.structs.replace(settings.recovery, mode="always"),
            read_timeout_s=source.longest_wait_s + 1 / _RATE_FPS,
            grace_s=_GRACE_S,
            report=lambda record: log.debug("%s: %s", record.name, record.state),
        )
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start to read."""
        self._worker = Worker("record-stream", self._read)

    def stop(self, deadline: float) -> None:
        """Stop, at the latest at a moment in monotonic seconds."""
        self._source.interrupt()
        if self._worker is not None and not self._worker.join(max(deadline, time.monotonic())):
            log.warning("record-stream did not stop in time")

    def _read(self) -> None:
        try:
            self._source.open()
            while self._source.read() is not None:
                pass
            self._source.close()
        except PiDetectorError as error:
            log.error("%s; clips are encoded from the stream that is detected on", error)


class PacketFeed:
    """Has the right stream give its packets away, if anybody wants them.

    Args:
        settings: source and recovery.
        source: that is detected on, not open.
        packets: with all its readers.
    """

    def __init__(self, settings: Settings, source: Source, packets: PacketHub) -> None:
        self._second: SecondStream | None = None
        if packets.wanted and settings.source.record_uri:
            self._second = SecondStream(settings, packets)
        elif packets.wanted:
            send_packets(source, packets.put)

    def start(self) -> None:
        """Start to read the second stream, where there is one."""
        if self._second is not None:
            self._second.start()

    def stop(self, deadline: float) -> None:
        """Stop it, at the latest at a moment in monotonic seconds."""
        if self._second is not None:
            self._second.stop(deadline)
