"""The thread of the broker connection: connects, sends, retries."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable

from pi_detector.config.outputs import MqttSettings
from pi_detector.config.settings import RecoverySettings
from pi_detector.core.outage import words_of
from pi_detector.core.records import StatusRecord
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.kept import Kept, Message
from pi_detector.sinks.mqtt.link import CONNECT_TIMEOUT_S, Link, seat_of
from pi_detector.sinks.mqtt.listener import Listener
from pi_detector.sinks.mqtt.topics import Topics
from pi_detector.sinks.mqtt.troubles import Disk, LinkOutage, Refusals
from pi_detector.sinks.outbox import Entry, Outbox
from pi_detector.sinks.turns import is_wanted, turn
from pi_detector.util.poll import ready
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

GRACE_S = 0.5
"""Time after which an event that a connected broker has not confirmed is stored on disk."""
_TICK_S, _CONNECT_TICK_S = 1.0, 0.05
_FAREWELL_S = 1.5
_LAST_WORD_S = 0.5
# Below the 20 that brokers take by default before they confirm.
_WINDOW = 16


class Publisher:
    """Keeps a connection and sends messages to the broker; no method but ``close`` waits.

    Three kinds of messages: events wait until they are confirmed, in order, on disk if needed; of a
    kept topic the newest message counts and is sent again at each connection; passed-on messages go
    to a connected broker with spare capacity, or nowhere. The listener handles incoming messages.

    Args:
        settings: section `mqtt`.
        recovery: delays between retries; its mode does not matter, a broker is always waited for.
        topics: topic names.
        outbox: outbox of the events.
        kept: messages of which the newest counts.
        listener: handles incoming messages.
        report: receives status records.

    Attributes:
        connected: a broker is connected and accepts messages.
        skipped: passed-on messages that were dropped for lack of capacity.
    """

    def __init__(
        self,
        settings: MqttSettings,
        recovery: RecoverySettings,
        topics: Topics,
        *,
        outbox: Outbox,
        kept: Kept,
        listener: Listener,
        report: Callable[[StatusRecord], None],
    ) -> None:
        self.skipped = 0
        self._settings = settings
        self._topics = topics
        self._outbox = outbox
        self._seat = (seat_of(settings), topics)
        self._kept = kept
        self._listener = listener
        self._outage = LinkOutage(recovery, topics.client_id, report)
        self._lock = threading.Lock()
        self._passing: list[tuple[str, bytes]] = []
        self._in_flight: dict[int, Entry | str] = {}
        self._refusals = Refusals(report)
        self.connected = False
        # The broker takes connections, and did not take the last event.
        self._doubtful = False
        self._disk = Disk(outbox, report, lambda: self._outage.failure is not None)
        self._closing = threading.Event()
        self._wake = -1
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin, unless it runs already; a broker that is not there is waited for.

        Raises:
            SinkError: certificates that cannot be used.
        """
        if self._worker is not None and self._worker.running:
            return
        self._new_link()
        with self._lock:
            if self._wake < 0:
                self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._worker = Worker("mqtt", self._run)

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._worker is not None:
            self._worker.check()

    def event(self, payload: bytes) -> None:
        """Publish an event record, now or later."""
        self._outbox.add(payload)
        self._nudge()

    def keep(self, topic: str, payload: bytes, *, interval_s: float = 0.0) -> None:
        """Publish what holds until the next message of its topic, at most one per interval."""
        if self._kept.put(topic, payload, interval_s=interval_s):
            self._nudge()

    def pass_on(self, topic: str, payload: bytes) -> None:
        """Publish to a broker that is there and has time."""
        with self._lock:
            self._passing.append((topic, payload))
            if len(self._passing) > _WINDOW:
                self._passing.pop(0)
                self.skipped += 1
        self._nudge()

    def close(self) -> None:
        """Send what can be sent in a moment, say goodbye, put the rest on disk."""
        self._closing.set()
        self._nudge()
        if self._worker is None:
            return
        if not self._worker.join(time.monotonic() + _FAREWELL_S + 2 * _LAST_WORD_S):
            log.warning("mqtt: the connection did not close in time")
            return
        with self._lock:
            os.close(self._wake)
            self._wake = -1
        self._worker.check()

    def _nudge(self) -> None:
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        # A reload starts the new publisher before the old one ends: one at a time has the queue
        # and the client id, and says whether the detector is there.
        names = [self._seat, self._topics.client_id, self._topics.prefix]
        with turn(names, self._closing) as mine:
            if not mine:
                self._disk.give_up(self._outage.reported_lost)
                return
            self._disk.do(self._outbox.open)
            try:
                while not self._closing.is_set():
                    self._talk()
            finally:
                self._disk.do(self._outbox.close)
                self._disk.give_up(self._outage.reported_lost)

    def _talk(self) -> None:
        """A connection, from the try to its end, whatever ends it."""
        link = None
        try:
            link = self._connect()
            if link is not None:
                self._serve(link)
        except Exception as error:  # noqa: BLE001 - the next connection may do better
            self._lost(words_of(error), error)
            if link is not None:
                link.close()

    def _new_link(self) -> Link:
        return Link(
            self._settings,
            self._topics,
            client_id=self._topics.client_id,
            wake=self._wake,
            on_message=self._listener.arrived,
        )

    def _connect(self) -> Link | None:
        """A connection, or None after a failure and the wait that follows it."""
        try:
            link = self._new_link()
            opening = Worker("mqtt-connect", link.open)
            while not opening.join(time.monotonic() + _CONNECT_TICK_S):
                self._keep_safe()
                if self._closing.is_set():
                    return None
            if opening.error is not None:
                raise opening.error
            deadline = time.monotonic() + CONNECT_TIMEOUT_S
            while not link.connected:
                link.poll(_CONNECT_TICK_S)
                self._calm()
                self._keep_safe()
                if self._closing.is_set():
                    link.close()
                    return None
                if link.failure is None and time.monotonic() > deadline:
                    raise SinkError(f"{link.broker}: no reply; check that it is an MQTT broker")
                if link.failure is not None:
                    raise SinkError(link.failure)
        except SinkError as error:
            self._failed(str(error))
            return None
        return link

    def _serve(self, link: Link) -> None:
        """Send over a connection until it ends."""
        since_s = time.monotonic()
        self._greet(link)
        self._exchange(link, 0.0)
        if link.failure is None and not self._doubtful:
            self._works(link)
        while link.failure is None and not self._closing.is_set():
            waits = (_TICK_S, self._kept.wait_s, self._listener.wait_s)
            self._exchange(link, min(wait_s for wait_s in waits if wait_s is not None))
        if link.failure is None:
            self._farewell(link)
            return
        self._lost(self._outage.words_of_loss(link.failure, time.monotonic() - since_s))

    def _lost(self, reason: str, error: Exception | None = None) -> None:
        """The connection is no more: what was on its way is sent again over the next one."""
        self._in_flight.clear()
        self._disk.do(self._outbox.rewind)
        self._failed(reason, error)

    def _greet(self, link: Link) -> None:
        self._kept.put(self._topics.availability, b"online")
        self._kept.repeat(self._topics.availability)
        with self._lock:
            self._passing.clear()
        # First: what the broker retained is to arrive before what replaces it.
        for topic_filter in self._listener.filters:
            link.subscribe(topic_filter)
        self._listener.connected()

    def _works(self, link: Link) -> None:
        """Report the end of an outage."""
        self._doubtful = False
        self.connected = True
        self._outage.over(link.broker, self._outbox)

    def _exchange(self, link: Link, timeout_s: float) -> None:
        self._send(link)
        link.poll(timeout_s)
        self._calm()
        self._settle(link)
        self._listen(link)
        self._keep_safe()

    def _listen(self, link: Link) -> None:
        refused, link.refused = link.refused, []
        for topic_filter, reason in refused:
            self._listener.refused(topic_filter, reason)
        self._listener.act()
        complaints, self._listener.complaints = self._listener.complaints, []
        for words in complaints:
            self._refusals.say(words)

    def _send(self, link: Link) -> None:
        with self._lock:
            passing, self._passing = self._passing, []
        for message in self._kept.take(early=self._closing.is_set()):
            self._publish_kept(link, message)
        for topic, payload in passing:
            if link.congested or link.publish(topic, payload, qos=0) is None:
                self.skipped += 1
        try:
            while sum(isinstance(each, Entry) for each in self._in_flight.values()) < _WINDOW:
                entry = self._outbox.take()
                if entry is None:
                    break
                mid = link.publish(self._topics.events, entry.payload, qos=self._settings.qos)
                if mid is None:
                    link.give_up("an event cannot be sent")
                    break
                self._in_flight[mid] = entry
        except SinkError as error:
            self._disk.failed(error)

    def _publish_kept(self, link: Link, message: Message) -> None:
        topic, payload = message
        always = (self._topics.availability, self._topics.discovery)
        retain = self._settings.retain or not payload or topic in always
        self._listener.sent(message)
        mid = link.publish(topic, payload, qos=self._settings.qos, retain=retain)
        if mid is None and link.failure is None:
            self._refusals.topic(topic, f"{len(payload)} bytes exceed the broker's limit")
        elif mid is not None:
            self._in_flight[mid] = topic

    def _settle(self, link: Link) -> None:
        """Look at what the broker confirmed or refused."""
        acknowledged, link.acknowledged = link.acknowledged, []
        for mid, refusal in acknowledged:
            sent = self._in_flight.pop(mid, None)
            if isinstance(sent, Entry) and refusal is None:
                self._outbox.confirm(sent.number)
                if self._doubtful:
                    self._works(link)
            elif isinstance(sent, Entry):
                self._doubtful = True
                link.give_up(
                    f"the broker refuses {self._topics.events}: {refusal}; grant this user write "
                    "access to it"
                )
            elif sent is not None and refusal is not None:
                self._refusals.topic(sent, f"{refusal}; grant this user write access to it")
        if acknowledged:
            self._disk.do(self._outbox.settle)

    def _farewell(self, link: Link) -> None:
        deadline = time.monotonic() + _FAREWELL_S
        while self._outbox.waiting and link.failure is None and time.monotonic() < deadline:
            self._exchange(link, _CONNECT_TICK_S)
        if not is_wanted(self._seat):  # else a reload: the next one is there at once
            self.keep(self._topics.availability, b"offline")
        deadline = time.monotonic() + _LAST_WORD_S
        self._exchange(link, 0.0)
        while self._in_flight and link.failure is None and time.monotonic() < deadline:
            self._exchange(link, _CONNECT_TICK_S)
        link.close()

    def _failed(self, reason: str, error: Exception | None = None) -> None:
        """Report a failure, and wait for the next try.

        Args:
            reason: in words.
            error: unexpected, logged with its traceback.
        """
        self.connected = False
        delay_s = self._outage.failed(reason, error)
        deadline = time.monotonic() + delay_s
        while not self._closing.is_set() and (left_s := deadline - time.monotonic()) > 0:
            self._keep_safe()
            ready([self._wake], timeout_s=min(left_s, _TICK_S))
            self._calm()

    def _keep_safe(self) -> None:
        """Put events on disk that no broker has: at once where none is there."""
        oldest_s = self._outbox.unstored_since_s
        away = self._outage.failure is not None
        late = oldest_s is not None and (away or time.monotonic() - oldest_s > GRACE_S)
        if late or self._disk.failure is not None:
            self._disk.store()
        self._disk.do(self._outbox.sync)

    def _calm(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
