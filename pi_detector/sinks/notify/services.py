"""What a message is given to: a webhook, a command, a service of Apprise."""

from __future__ import annotations

from typing import Protocol

from pi_detector.errors import SinkError
from pi_detector.sinks.notify.message import Message


class NotSentError(SinkError):
    """A message that a service did not take; it may be retried.

    Attributes:
        retry_s: when the service wants to be asked again; None where it does not say.
    """

    def __init__(self, reason: str, retry_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_s = retry_s


class RefusedError(SinkError):
    """A message that a service will never take as it is, such as one that is too large."""


class Service(Protocol):
    """Takes messages. For one thread.

    Attributes:
        name: for logs and records, without secrets.
    """

    name: str

    def prepare(self) -> None:
        """Import and check what sending needs. Raises PiDetectorError."""

    def send(self, message: Message) -> None:
        """Send a message, and wait until it is taken.

        Raises:
            NotSentError: it was not taken; retry.
            RefusedError: it never will be.
        """
