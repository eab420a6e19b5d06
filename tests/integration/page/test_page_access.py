"""Who may see the page, and who may write."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable
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

    wrong = urlencode({"token": "wrong"})
    refused = guarded.ask("/login", "POST", wrong)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert guarded.ask("/api/overview", Authorization="Bearer wrong").status == 429
    page = guarded.ask("/login", "POST", wrong, Accept="text/html")
    assert (page.status, b"Too many wrong tokens" in page.body) == (429, True)
    assert guarded.ask("/api/overview", Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.ask("/login", "POST", urlencode({"token": TOKEN})).headers["Location"] == "/"


def log_in(web: Web, **headers: str) -> tuple[str, set[str]]:
    """The cookie, and its flags."""
    answer = web.ask("/login", "POST", urlencode({"token": TOKEN}), **headers)
    cookie, *flags = answer.headers["Set-Cookie"].split("; ")
    return cookie, set(flags)


def test_a_cookie_is_worthless_after_logout(guarded: Web) -> None:
    cookie, _ = log_in(guarded)
    other, _ = log_in(guarded)
    with guarded.stream("/api/live", Cookie=cookie) as stream:
        assert guarded.ask("/logout", "POST", "", Cookie=cookie).status == 303
        while stream.readline():  # also what was open before ends
            continue

    assert guarded.ask("/api/overview", Cookie=cookie).status == 401
    assert guarded.ask("/api/overview", Cookie=other).status == 200
    assert guarded.ask("/logout", "POST", "", Cookie=cookie).headers["Location"] == "/login"
    assert guarded.ask("/logout", "POST", "", Cookie=other, Origin="http://x").status == 403
    assert guarded.ask("/api/overview", Cookie=other).status == 200


def test_two_pages_of_one_machine_keep_their_sessions_apart(make: Callable[..., Web]) -> None:
    one, other = make(token=TOKEN), make(token=TOKEN)
    cookies = [log_in(web)[0] for web in (one, other)]  # a browser sends both to both

    assert cookies[0].partition("=")[0] != cookies[1].partition("=")[0]
    for web in (one, other):
        assert web.ask("/api/overview", Cookie="; ".join(cookies)).status == 200


@pytest.mark.parametrize("path", ["/view.jpg", "/view.mjpeg", "/metrics", "/media/x.mp4"])
def test_ordinary_clients_give_the_token_as_a_password(guarded: Web, path: str) -> None:
    guarded.camera.frame()

    asked = guarded.ask(path)
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"] == 'Basic realm="pi-detector", charset="UTF-8"'
    found = 404 if path.startswith("/media/") else 200
    assert guarded.ask(path, Authorization=basic("anyone", TOKEN)).status == found
    assert guarded.ask(path, Authorization=basic("", TOKEN)).status == found
    for wrong in (basic(TOKEN, ""), basic("anyone", "x"), "Basic", "Basic =", "Basic 8J+Yg"):
        assert guarded.ask(path, Authorization=wrong).status == 401


@pytest.mark.parametrize("path", ["/", "/api/overview", "/api/places", "/api/live", "/viewer"])
def test_a_password_opens_no_other_address(guarded: Web, path: str) -> None:
    answer = guarded.ask(path, Authorization=basic("anyone", TOKEN))

    assert answer.status == (303 if path == "/" else 401)
    assert "Basic" not in answer.headers.get("WWW-Authenticate", "")
    sent = {"Authorization": basic("anyone", TOKEN)}
    assert guarded.ask("/api/command", "POST", "reload", **sent).status == 401
    assert guarded.commands == []


def test_a_browser_on_our_page_is_not_asked_for_a_password(guarded: Web) -> None:
    answer = guarded.ask("/view.mjpeg", Referer=f"http://127.0.0.1:{guarded.port}/")

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_named_proxy_is_believed_and_nobody_else(make: Callable[..., Web]) -> None:
    forwarded = {"X_Forwarded_For": "10.0.0.7", "X_Forwarded_Proto": "https"}
    plain = make(token=TOKEN)
    behind = make(token=TOKEN, trusted_proxies=("127.0.0.0/8",))

    assert "Secure" not in log_in(plain, **forwarded)[1]
    assert "Secure" not in log_in(behind)[1]
    cookie, flags = log_in(behind, **forwarded)
    assert {"Secure", "HttpOnly", "SameSite=strict"} <= flags
    left = behind.ask("/logout", "POST", "", Cookie=cookie, **forwarded)
    assert "Secure" in left.headers["Set-Cookie"]


def test_behind_a_proxy_each_address_has_its_own_limit(make: Callable[..., Web]) -> None:
    behind = make(token=TOKEN, trusted_proxies=("127.0.0.1",))

    def guess(forwarded: str) -> int:
        sent = {"Authorization": "Bearer wrong", "X_Forwarded_For": forwarded}
        return behind.ask("/api/overview", **sent).status

    for number in range(MOST_WRONG):
        assert guess(f"192.0.2.{number}, 10.0.0.7") == 401  # the first is what the client sent
    assert guess("10.0.0.7") == 429
    assert guess("10.0.0.8") == 401


@pytest.mark.parametrize("path", ["/", "/login", "/static/main.js", "/api/overview", "/nowhere"])
def test_all_answers_forbid_foreign_scripts_frames_and_sniffing(web: Web, path: str) -> None:
    headers = web.ask(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::2]"]
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
