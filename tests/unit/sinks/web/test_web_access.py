from __future__ import annotations

import logging

import pytest

from pi_detector.config.outputs import WebSettings
from pi_detector.sinks.web.access import (
    FORGIVEN_S,
    MOST_SESSIONS,
    MOST_WRONG,
    MOST_WRONG_IN_ALL,
    SESSION_S,
    Access,
    TooManyTriesError,
    network_of,
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
        access.accepts("wrong", "10.0.0.1")
    assert 0 < many.value.retry_s <= FORGIVEN_S
    fail(access, "10.0.0.2")
    clock.now_s += FORGIVEN_S
    fail(access, "10.0.0.1")


def test_wrong_tokens_keep_nobody_out_who_has_the_right_one(access: Access) -> None:
    for number in range(MOST_WRONG_IN_ALL):
        fail(access, f"10.0.0.{number}", 1)
    with pytest.raises(TooManyTriesError):
        access.accepts("wrong", "10.0.0.1")

    assert access.accepts(TOKEN, "10.0.0.1")


def test_right_tokens_are_not_counted(access: Access) -> None:
    for _ in range(3 * MOST_WRONG):
        assert access.accepts(TOKEN, "10.0.0.1")
    fail(access, "10.0.0.1")


def test_many_addresses_that_guess_have_to_wait_together(access: Access, clock: Clock) -> None:
    for number in range(MOST_WRONG_IN_ALL):
        fail(access, f"10.0.{number}.1", 1)

    with pytest.raises(TooManyTriesError):
        access.accepts("wrong", "10.1.0.1")
    clock.now_s += FORGIVEN_S
    fail(access, "10.1.0.1")


def test_guesses_are_logged_once_per_address_and_minute(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fail(access, "10.0.0.1")
        for _ in range(100):
            with pytest.raises(TooManyTriesError):
                access.accepts("wrong", "10.0.0.1")

    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "web: 5 wrong tokens from 10.0.0.1 within 60 s"
    assert len(said) <= 2
    assert "wrong 1" not in caplog.text


def test_addresses_of_one_ipv6_subscriber_are_one(access: Access) -> None:
    for number in range(MOST_WRONG):
        fail(access, f"2001:db8::{number:x}", 1)

    with pytest.raises(TooManyTriesError):
        access.accepts("wrong", "2001:db8::ffff")
    fail(access, "2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "an unknown address"),
        ("\x1b[31mx", "an unknown address"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_addresses_that_are_remembered_are_bounded(access: Access, clock: Clock) -> None:
    for number in range(5000):
        clock.now_s += 1
        fail(access, f"10.0.{number // 250}.{number % 250}", 1)

    assert len(access._wrong) <= MOST_WRONG_IN_ALL + 1


def test_a_cookie_is_known_and_does_not_hold_the_token(access: Access) -> None:
    cookie = access.begin_session()

    assert access.knows(cookie)
    assert TOKEN not in cookie
    assert cookie != access.begin_session()


def test_a_cookie_is_worthless_after_logout_a_new_token_or_a_restart(access: Access) -> None:
    ended, replaced = access.begin_session(), access.begin_session()

    access.end_session(ended)
    assert not access.knows(ended)
    assert access.knows(replaced)
    assert not Access(access.web).knows(replaced)
    access.web = WebSettings(token="another-token-of-the-page")
    assert not access.knows(replaced)


def test_a_session_ends_whatever_the_date_is(access: Access, clock: Clock) -> None:
    cookie = access.begin_session()

    clock.now_s += SESSION_S - 1
    assert access.knows(cookie)
    clock.now_s += 1
    assert not access.knows(cookie)


def test_a_cookie_cannot_be_made_up(access: Access) -> None:
    cookie = access.begin_session()

    for forged in ("", cookie[:-1], cookie + "x", cookie.swapcase(), "pässwörd", "1.2.3"):
        assert not access.knows(forged)
    access.end_session("1.2.3")
    assert access.knows(cookie)


def test_sessions_are_bounded(access: Access) -> None:
    cookies = [access.begin_session() for _ in range(MOST_SESSIONS + 1)]

    assert not access.knows(cookies[0])
    assert all(access.knows(cookie) for cookie in cookies[1:])
