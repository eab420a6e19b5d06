from __future__ import annotations

import time

import pytest

from pi_detector.config.outputs import WebSettings
from pi_detector.sinks.web.access import (
    FORGIVEN_S,
    MOST_WRONG,
    SESSION_S,
    Access,
    TooManyTriesError,
)

TOKEN = "correct-horse-battery"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> Access:
    return Access(WebSettings(enabled=True, token=TOKEN), clock)


def fail(access: Access, address: str, times: int = MOST_WRONG) -> None:
    for number in range(times):
        assert not access.accepts(f"wrong {number}", address)


@pytest.mark.parametrize(
    "wrong", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "pässwörd", "\udc80"]
)
def test_only_the_token_is_accepted(access: Access, wrong: str) -> None:
    assert access.accepts(TOKEN, "10.0.0.1")
    assert not access.accepts(wrong, "10.0.0.1")


def test_an_address_that_guesses_has_to_wait_and_others_do_not(
    access: Access, clock: Clock
) -> None:
    fail(access, "10.0.0.1")

    with pytest.raises(TooManyTriesError) as many:
        access.accepts(TOKEN, "10.0.0.1")
    assert 0 < many.value.retry_s <= FORGIVEN_S
    assert access.accepts(TOKEN, "10.0.0.2")
    clock.now_s += FORGIVEN_S
    assert access.accepts(TOKEN, "10.0.0.1")


def test_right_tokens_are_not_counted(access: Access) -> None:
    for _ in range(3 * MOST_WRONG):
        assert access.accepts(TOKEN, "10.0.0.1")


def test_addresses_of_one_ipv6_subscriber_are_one(access: Access) -> None:
    for number in range(MOST_WRONG):
        fail(access, f"2001:db8::{number:x}", 1)

    with pytest.raises(TooManyTriesError):
        access.accepts(TOKEN, "2001:db8::ffff")
    assert access.accepts(TOKEN, "2001:db8:0:1::1")


def test_addresses_that_are_remembered_are_bounded(access: Access) -> None:
    for number in range(5000):
        access.accepts("wrong", f"10.0.{number // 250}.{number % 250}")

    assert len(access._tries) <= 1024


def test_a_cookie_is_known_and_does_not_tell_the_token(access: Access) -> None:
    cookie = access.cookie()

    assert access.knows(cookie)
    assert TOKEN not in cookie
    assert cookie != access.cookie()


def test_a_cookie_outlives_a_restart_but_not_the_token(access: Access) -> None:
    cookie = access.cookie()

    assert Access(WebSettings(token=TOKEN)).knows(cookie)
    access.web = WebSettings(token="another-token-of-the-page")
    assert not access.knows(cookie)


def test_a_cookie_ends(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie, now = access.cookie(), time.time()

    monkeypatch.setattr(time, "time", lambda: now + SESSION_S + 1)

    assert not access.knows(cookie)


def test_a_cookie_cannot_be_made_up_or_prolonged(access: Access) -> None:
    ends, number, signature = access.cookie().split(".")

    for forged in (
        "",
        ".",
        "..",
        f"{ends}.{number}",
        f"{int(ends) + 1}.{number}.{signature}",
        f"{ends}.{number}x.{signature}",
        f"{ends}.{number}.{signature[:-1]}",
        f"٣.{number}.{signature}",
    ):
        assert not access.knows(forged)
