"""Who may see the page, and who may write."""

from __future__ import annotations

import http.client
from contextlib import closing
from urllib.parse import urlencode

import pytest
from page_client import PATHS, TOKEN, Web

from pi_detector.sinks.web.access import MOST_WRONG


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_shown(guarded: Web, path: str) -> None:
    guarded.camera.frame()

    for headers in ({}, {"Cookie": "pi-detector=1.2.3"}, {"Authorization": "Basic eDp5"}):
        answer = guarded.ask(path, **headers)
        assert answer.status == (303 if path == "/" else 401)
        assert b"JFIF" not in answer.body


@pytest.mark.parametrize("path", PATHS)
def test_with_the_token_all_is_shown(guarded: Web, path: str) -> None:
    guarded.camera.frame()

    assert guarded.ask(path, Authorization=f"Bearer {TOKEN}").status == 200


def test_a_form_gives_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Web) -> None:
    answer = guarded.ask("/login", "POST", urlencode({"token": TOKEN}))

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie, *flags = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(flags)
    assert TOKEN not in cookie
    assert guarded.ask("/api/overview", Cookie=cookie).status == 200


def test_wrong_tokens_are_told_and_then_refused(guarded: Web) -> None:
    for number in range(MOST_WRONG):
        form = urlencode({"token": f"wrong {number}"})
        assert guarded.ask("/login", "POST", form).headers["Location"] == "/login?wrong"

    right = guarded.ask("/login", "POST", urlencode({"token": TOKEN}))
    assert right.status == 429
    assert int(right.headers["Retry-After"]) > 0
    assert guarded.ask("/api/overview", Authorization=f"Bearer {TOKEN}").status == 429
    page = guarded.ask("/login", "POST", urlencode({"token": TOKEN}), Accept="text/html")
    assert (page.status, b"Too many wrong tokens" in page.body) == (429, True)


@pytest.mark.parametrize("path", ["/", "/login", "/static/main.js", "/api/overview", "/nowhere"])
def test_all_answers_forbid_foreign_scripts_frames_and_sniffing(web: Web, path: str) -> None:
    headers = web.ask(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
def test_other_names_for_this_machine_are_refused_where_there_is_no_token(
    web: Web, host: str
) -> None:
    for path in (*PATHS, "/login", "/healthz"):
        assert web.ask(path, Host=host).status == 421
    for own in ("localhost", "127.0.0.1:1", "[::1]:8080"):
        assert web.ask("/healthz", Host=own).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_other_pages_cannot_write(web: Web, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(port=web.port) for name, value in headers.items()}

    assert web.ask("/api/command", "POST", "reload", **sent).status == status
    assert web.commands == (["reload"] if status == 200 else [])


def test_bodies_are_bounded(web: Web) -> None:
    assert web.ask("/api/places", "PUT", "x" * 100_000).status == 413
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as line:
        line.request("PUT", "/api/places", iter([b"x"] * 10), encode_chunked=True)
        assert line.getresponse().status == 413


def test_health_needs_no_token_and_tells_nothing_else(guarded: Web) -> None:
    assert (guarded.ask("/healthz").status, guarded.ask("/healthz").body) == (200, b"ok\n")
    guarded.well = False
    assert guarded.ask("/healthz").status == 503


def test_metrics_are_those_of_the_callable(web: Web) -> None:
    answer = web.ask("/metrics")

    assert answer.body == b"up 1\n"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
