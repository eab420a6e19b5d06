"""Webhooks, commands and services of Apprise, each at a real server or program."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from failing import free_port
from notified import BOX_PX, HEIGHT, WIDTH, Hook, a_hook
from notifying import a_message
from results import environment
from waiting import until

from pi_detector.errors import SinkError
from pi_detector.sinks.notify.by_apprise import ByApprise
from pi_detector.sinks.notify.masking import masked
from pi_detector.sinks.notify.message import Message
from pi_detector.sinks.notify.services import NotSentError, RefusedError
from pi_detector.sinks.notify.webhook import Webhook

SECRET = "tOpIc5ecret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as one:
        yield one


@pytest.fixture
def message() -> Message:
    return a_message()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (204, None, ""),
        (500, NotSentError, "HTTP 500 Internal Server Error"),
        (302, NotSentError, "HTTP 302 Found"),
        (401, NotSentError, "HTTP 401 Unauthorized"),
        (422, RefusedError, "HTTP 422"),
        ("drop", NotSentError, "the connection failed: RemoteDisconnected"),
        ("hang", NotSentError, "no answer in time"),
    ],
)
def test_what_a_server_answers(
    hook: Hook, message: Message, answer: Any, error: type[Exception] | None, words: str
) -> None:
    hook.answers = [answer]
    service = Webhook(f"{hook.url}?channel=1", "", 0.3)
    if error is None:
        service.send(message)
    else:
        with pytest.raises(error, match=words):
            service.send(message)
    assert json.loads(hook.asked[0][1])["events"][0]["label"] == "person"


def test_a_server_that_says_when(hook: Hook, message: Message) -> None:
    hook.answers = [429]
    with pytest.raises(NotSentError) as error:
        Webhook(hook.url, "", 1).send(message)
    assert error.value.retry_s == 0


def test_a_server_that_trickles_does_not_hold_for_ever(message: Message) -> None:
    """Each byte would begin the time of a socket's timeout again."""
    trickler = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket, time\n"
            "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
            "c, _ = s.accept()\n"
            "while True: c.sendall(b'H'); time.sleep(0.1)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert trickler.stdout is not None
    port = int(trickler.stdout.readline())
    begun_s = time.monotonic()
    try:
        with pytest.raises(NotSentError, match="no answer in time"):
            Webhook(f"http://127.0.0.1:{port}/", "", 0.5).send(message)
    finally:
        trickler.kill()
        trickler.wait()
    assert time.monotonic() - begun_s < 10


def test_ntfy_by_apprise(hook: Hook, message: Message) -> None:
    """The protocol of ntfy at a web server in its place: the picture, with title and text."""
    service = ByApprise(f"ntfy://127.0.0.1:{hook.port}/{SECRET}")
    service.prepare()
    service.send(message)
    assert hook.asked[0][1] == message.image


def test_json_by_apprise_has_the_picture(hook: Hook, message: Message) -> None:
    service = ByApprise(f"json://127.0.0.1:{hook.port}/{SECRET}")
    service.prepare()
    service.send(message)
    body = json.loads(hook.asked[0][1])
    assert body["title"] == "Person appeared"
    assert "http://pi:8080/events/" in body["message"]
    assert len(body["attachments"]) == 1


class Mailbox:
    """Keeps what an SMTP server is handed."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


def test_an_e_mail_by_apprise(message: Message) -> None:
    mailbox = Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        service = ByApprise(
            f"mailto://127.0.0.1:{port}?from=pi@home.lan&to=me@home.lan&format=text"
        )
        service.prepare()
        service.send(message)
        mail = until(lambda: mailbox.mails)[0]
    finally:
        controller.stop()
    assert mail["Subject"] == "Person appeared"
    assert mail["To"].endswith("me@home.lan")
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    assert [part.get_payload(decode=True) for part in pictures] == [message.image]
    assert "http://pi:8080/events/" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    "url", [f"ntfy://127.0.0.1:9/{SECRET}", f"json://me:{SECRET}@127.0.0.1:9/"]
)
def test_what_apprise_says_of_a_failure_is_without_secrets(
    url: str, message: Message, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service = ByApprise(url)
    service.prepare()
    with pytest.raises(NotSentError, match=r"not taken: .*onnection") as error:
        service.send(message)
    assert SECRET not in str(error.value)
    printed = capfd.readouterr()
    assert SECRET not in caplog.text + printed.out + printed.err


def test_apprise_does_not_know_it() -> None:
    with pytest.raises(SinkError, match="does not understand the heliograph:// URL") as error:
        ByApprise(f"heliograph://{SECRET}").prepare()
    assert SECRET not in str(error.value)


def test_parts_of_a_url_are_masked() -> None:
    url = "tgram://12345:AbC%2Fdef/987?format=html"
    text = "https://api.telegram.org/bot12345:AbC/def/sendPhoto chat 987 failed"
    shown = masked(text, [url])
    for part in ("12345", "AbC", "987", "def"):
        assert part not in shown


def printed(script: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return done.stdout


def test_apprise_is_imported_only_where_a_rule_needs_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from notified import a_rule\n"
        "from pi_detector.config.settings import RecoverySettings\n"
        "from pi_detector.sinks.notify.sink import NotifySink\n"
        f"s = NotifySink({{'x': a_rule(urls=['http://127.0.0.1:9/'], command=['true'])}},\n"
        f"    RecoverySettings(), Path({str(tmp_path)!r}), page='', report=print)\n"
        "s.start(); s.close(); print('apprise' in sys.modules, 'requests' in sys.modules)"
    )
    assert printed(script) == "False False\n"


def test_nothing_of_it_is_imported_where_no_rule_is_set() -> None:
    script = (
        "import sys; from pi_detector.config.settings import Settings\n"
        "from pi_detector.sinks import registry\n"
        "assert registry.make_notify_sink(Settings(), {}, print) is None\n"
        "print([name for name in sys.modules if 'sinks.notify' in name or name == 'apprise'])"
    )
    assert printed(script) == "[]\n"


def test_the_crop_stays_in_the_frame() -> None:
    from pi_detector.sinks.notify.pictures import _around

    for box in (BOX_PX, (0, 0, 4, 4), (310, 230, 320, 240), (0, 0, 320, 240)):
        left, top, right, bottom = _around(box, WIDTH, HEIGHT)
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
