"""Messages through Apprise, which knows more than a hundred services.

Apprise is imported by the thread that sends, when a rule has a URL of it: 20 to 25 MB of memory,
once for all rules.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pi_detector.core.outage import words_of
from pi_detector.errors import DependencyMissingError, SinkError
from pi_detector.sinks.notify.masking import masked
from pi_detector.sinks.notify.message import Message
from pi_detector.sinks.notify.services import NotSentError
from pi_detector.util.installation import how_to_install
from pi_detector.util.sandbox import how_to_allow, internet_forbidden
from pi_detector.util.uri import split_uri

log = logging.getLogger(__name__)


class ByApprise:
    """Sends messages to one service of Apprise.

    Args:
        url: of the service.

    Raises:
        DependencyMissingError: the extra ``notify`` is not installed.
    """

    def __init__(self, url: str) -> None:
        if importlib.util.find_spec("apprise") is None:
            raise DependencyMissingError(
                "messages to services (notify.NAME.urls) need apprise, which is not installed; "
                f"to install it: {how_to_install('notify')}"
            )
        self._url = url
        self.name = split_uri(url)[0]
        self._service: Any = None
        self._takes_clips = True

    def prepare(self) -> None:
        """Import Apprise and have it read the URL. Raises SinkError."""
        if self._service is not None:
            return
        import apprise

        _Complaints.silence()
        # Later versions keep what a service answered on the disk, unless they are not to.
        modes = getattr(apprise, "PersistentStoreMode", None)
        more = {} if modes is None else {"storage_mode": modes.MEMORY}
        asset = apprise.AppriseAsset(app_id="pi-detector", app_desc="pi-detector", **more)
        with _Complaints() as complaints:
            service = apprise.Apprise.instantiate(self._url, asset=asset, suppress_exceptions=True)
        if service is None:
            raise SinkError(
                f"Apprise does not understand the {self.name}:// URL; see "
                f"https://github.com/caronc/apprise/wiki{_tail(complaints, self._url)}"
            )
        self._service = service

    def send(self, message: Message) -> None:
        """Send a message. Raises NotSentError."""
        self.prepare()
        with _Complaints() as complaints, tempfile.TemporaryDirectory() as folder:
            taken = self._notify(message, Path(folder))
            if not taken and message.clip is not None and self._takes_clips:
                # Perhaps it takes no clips, or none of this size: that must not cost the message.
                self._takes_clips = False
                taken = self._notify(message, Path(folder))
                self._takes_clips = not taken
                if taken:
                    log.warning("%s: takes no clips; messages have the link", self.name)
        if not taken:
            words = f"not taken{_tail(complaints, self._url)}"
            if internet_forbidden():
                words += f"; the service may not reach the internet; {how_to_allow()}"
            raise NotSentError(words)

    def _notify(self, message: Message, folder: Path) -> bool:
        files = {"event.jpg": message.image}
        if self._takes_clips and getattr(self._service, "attachment_support", False):
            files["event.mp4"] = message.clip
        try:
            return bool(
                self._service.notify(
                    body=message.body or message.title,
                    title=message.title if message.body else "",
                    attach=_attachments(files, folder),
                )
            )
        except Exception as error:
            raise NotSentError(masked(words_of(error), [self._url])) from error


def _attachments(files: Mapping[str, bytes | None], folder: Path) -> Any:
    """Picture and clip as Apprise takes them; files, as versions before 1.9.3 know no others."""
    from apprise import AppriseAttachment

    given = {name: data for name, data in files.items() if data is not None}
    if not given:
        return None
    attachment = AppriseAttachment()
    for name, data in given.items():
        file = folder / name
        file.write_bytes(data)
        attachment.add(str(file))
    return attachment


class _Complaints(logging.Filter):
    """What Apprise warns of on this thread, while it is entered; none of it reaches our log.

    Its messages have topics, tokens and addresses in them, as have those of what it sends with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    @staticmethod
    def silence() -> None:
        """Keep the messages of Apprise, and of what it sends with, out of the log for good."""
        logging.getLogger("apprise").addFilter(_drop)
        for name in ("urllib3", "requests", "requests_oauthlib", "oauthlib"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def __enter__(self) -> _Complaints:
        # Before the one that drops all.
        logging.getLogger("apprise").filters.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a warning of this thread."""
        if record.thread == self._thread and record.levelno >= logging.WARNING:
            self.lines.append(record.getMessage())
        return True


def _drop(_: logging.LogRecord) -> bool:
    return False


def _tail(complaints: _Complaints, url: str) -> str:
    return f": {masked(complaints.lines[-1], [url])}" if complaints.lines else ""
