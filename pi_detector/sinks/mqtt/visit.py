"""A short connection to the broker, for a command."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pi_detector.config.outputs import MqttSettings
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.link import CONNECT_TIMEOUT_S, Link
from pi_detector.sinks.mqtt.topics import Topics

_QUIET_S = 1.0
"""A broker that sent nothing for this long has sent all that it kept."""
_LONGEST_WAIT_S = 5.0
"""Of what a busy detector publishes there is no end."""
_TICK_S = 0.1


class Visit:
    """One connection to the broker, under a client id of its own.

    Args:
        settings: of the detector, with its secrets.
        topics: of the detector.
        purpose: the end of the client id.
        on_message: takes topic, payload and whether the broker had kept it.

    Attributes:
        link: the connection.

    Raises:
        SinkError: a file of certificates cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        purpose: str,
        on_message: Callable[[str, bytes, bool], None],
    ) -> None:
        self._on_message = on_message
        self._heard_s = 0.0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self.link = Link(
                settings,
                topics,
                client_id=f"{topics.client_id}-{purpose}",
                wake=self._wake,
                on_message=self._hear,
                last_will=False,
            )
        except SinkError:
            os.close(self._wake)
            raise

    def connect(self) -> None:
        """Connect. Raises SinkError."""
        self.link.open()
        until_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not self.link.connected:
            self.poll()
            if time.monotonic() > until_s:
                raise SinkError(f"{self.link.broker}: no reply; check that it is an MQTT broker")

    def wait_for_quiet(self) -> None:
        """Take messages until none comes for a second, or five seconds have passed.

        Raises:
            SinkError: the connection was lost.
        """
        begun_s = self._heard_s = now_s = time.monotonic()
        while now_s - self._heard_s < _QUIET_S and now_s - begun_s < _LONGEST_WAIT_S:
            self.poll()
            now_s = time.monotonic()

    def poll(self) -> None:
        """Send and receive for a moment. Raises SinkError: the connection was lost."""
        self.link.poll(_TICK_S)
        if self.link.failure is not None:
            raise SinkError(self.link.failure)

    def close(self) -> None:
        """Leave the broker."""
        self.link.close()
        os.close(self._wake)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        self._heard_s = time.monotonic()
        self._on_message(topic, payload, retained)
