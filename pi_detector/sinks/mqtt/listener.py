"""Messages from the broker: commands, Home Assistant's birth, and retained messages."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection

from pi_detector.sinks.mqtt.commands import CommandLimit, command_of
from pi_detector.sinks.mqtt.discovery import removal_payload
from pi_detector.sinks.mqtt.kept import Kept, Message
from pi_detector.sinks.mqtt.topics import Topics

log = logging.getLogger(__name__)

_COMMAND_INTERVAL_S = 1.0
_BIRTH_DELAY_S = 2.0
"""Many detectors hear of one start of Home Assistant, and need not answer at the same moment."""
_CLEAR_DELAY_S = 2.0
"""Home Assistant removes an entity before it is sent the empty message of its topic."""
_PRESENCE_INTERVAL_S = 1.0
_ECHO_S = 10.0
_ONLINE, _OFFLINE = b"online", b"offline"


class Listener:
    """Handles what the broker sends, on the thread of the connection.

    - Retained entities and states of labels, zones, lines and schedules from earlier settings are
      removed.
    - When Home Assistant starts, everything is sent to it again.
    - Another detector that publishes to the same topics is reported.

    Args:
        topics: topic names.
        kept: messages that stay valid; messages to send are put there.
        states: the topics of all states, those of schedules among them.
        discovery: discovery message for Home Assistant; None for none.
        obey: receives commands; None accepts no commands.

    Attributes:
        filters: topic filters to subscribe to.
        complaints: problems, for the caller to report and clear.
    """

    def __init__(
        self,
        topics: Topics,
        kept: Kept,
        *,
        states: Collection[str],
        discovery: bytes | None,
        obey: Callable[[str], None] | None,
    ) -> None:
        self.filters = [
            topics.availability,
            topics.states,
            topics.schedules,
            topics.discovery,
        ]
        if discovery is not None:
            self.filters.append(topics.birth)
        if obey is not None:
            self.filters.append(topics.commands)
        self.complaints: list[str] = []
        self._topics = topics
        self._kept = kept
        self._states = frozenset(states)
        self._prefixes = tuple(
            each.rstrip("+/") + "/" for each in (topics.states, topics.schedules)
        )
        self._discovery = discovery
        self._obey = obey
        self._limit = CommandLimit(_COMMAND_INTERVAL_S)
        self._own: Counter[bytes] = Counter()
        self._unheard: set[str] = set()
        self._echo_s = 0.0

    def announce(self, discovery: bytes) -> None:
        """Use another discovery message from now on; may be called from any thread."""
        self._discovery = discovery

    def connected(self) -> None:
        """A connection begins."""
        self._own.clear()
        self._unheard = {self._topics.states}
        if self._discovery is not None:
            self._unheard.add(self._topics.discovery)
        self._echo_s = time.monotonic() + _ECHO_S

    def sent(self, message: Message) -> None:
        """A message is on its way, and will come back."""
        if message.topic == self._topics.availability:
            self._own[message.payload] += 1

    def refused(self, topic_filter: str, reason: str) -> None:
        """The broker does not let this user subscribe."""
        if topic_filter == self._topics.discovery and self._discovery is None:
            return  # nothing was to be found there
        self._unheard.discard(topic_filter)
        self.complaints.append(
            f"{topic_filter}: the broker refuses the subscription: {reason}; grant this user read "
            "access to it"
        )

    def arrived(self, topic: str, payload: bytes, retained: bool) -> None:
        """Take a message."""
        if topic == self._topics.availability:
            if not retained:
                self._see_presence(payload)
        elif topic == self._topics.discovery:
            self._unheard.discard(topic)
            if retained and payload:
                self._see_discovery(payload)
        elif topic == self._topics.birth:
            if payload == _ONLINE and not retained:
                log.info("mqtt: Home Assistant has started; sending everything to it again")
                delay_s = random.uniform(0, _BIRTH_DELAY_S)
                self._kept.repeat(self._topics.availability, delay_s)
        elif topic.startswith(self._prefixes):
            self._unheard.discard(self._topics.states)
            if retained and payload and topic not in self._states:
                for each in self._topics.of_removed(topic):
                    self._kept.put(each, b"", delay_s=_CLEAR_DELAY_S)
        else:
            self._take_command(topic, payload, retained=retained)

    def act(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        for command in self._limit.due(now_s):
            log.info("mqtt: command: %s", command, extra={"DETECTOR_EVENT": "command"})
            if self._obey is not None:
                self._obey(command)
        if now_s >= self._echo_s:
            self.complaints += [
                f"{topic}: no messages arrive from it, so those of earlier settings stay; grant "
                "this "
                "user read access to it"
                for topic in sorted(self._unheard)
            ]
            self._unheard.clear()

    @property
    def wait_s(self) -> float | None:
        """Seconds until a command is due; None where none waits."""
        return self._limit.wait_s(time.monotonic())

    def _see_presence(self, payload: bytes) -> None:
        """Notice who else says to be there, or to be gone, under this name."""
        if payload not in (_ONLINE, _OFFLINE):
            return
        if self._own[payload]:
            self._own[payload] -= 1
            return
        self.complaints.append(
            f"another detector publishes to {self._topics.prefix}: give each its own mqtt.name "
            "and mqtt.topic"
        )
        if payload == _OFFLINE:
            self._kept.repeat_one(self._topics.availability, _PRESENCE_INTERVAL_S)

    def _see_discovery(self, payload: bytes) -> None:
        """Remove the entities of an earlier discovery message that no longer exist."""
        if self._discovery is None:
            self._kept.put(self._topics.discovery, b"")
        elif removal := removal_payload(self._discovery, payload):
            self._kept.put(self._topics.discovery, self._discovery, before=removal)

    def _take_command(self, topic: str, payload: bytes, *, retained: bool) -> None:
        try:
            self._limit.add(command_of(topic, payload, retained=retained))
        except ValueError as error:
            log.warning("mqtt: command refused: %s", error)
