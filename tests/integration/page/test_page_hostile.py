"""Requests that try to look like another request than the one that is routed."""

from __future__ import annotations

import http.client
import socket

import pytest
from page_client import TOKEN, Web
from starlette.datastructures import URL
from starlette.requests import HTTPConnection

NAMES = ("x/static/", "x/login#", "x/login?", "x/healthz?", "x@y", "x\\y", "x:port", "x:99999999")
NAMES += ("127.0.0.1/static/", "127.0.0.1:1/static/", "[::1", "[::1]x", "[x]", "", " ", "x y", "é")
ORIGINS = ("http://[", "http://x/", "http://x y", "x", "//x", "http://", "http://x:port", "")
TARGETS = (
    "//api/overview",
    "//static/api/overview",
    "/static/../api/overview",
    "/static/..%2fapi/overview",
    "/static/%2e%2e/api/overview",
    "/static/..%5capi/overview",
    "/static//api/overview",
    "/login/../api/overview",
    "/login%2f..%2fapi%2foverview",
    "/login/",
    "/login;/../api/overview",
    "/healthz/../metrics",
    "/healthz%00",
    "/%61pi/overview",
    "/api/overview%23/static/",
    "/api/overview?/static/",
    "/api/overview#/static/",
    "/API/overview",
    "/view.jpg?x=/static/",
    "/static/",
    "/static",
    "/static/zones.js/../../api/overview",
)


def status_of(web: Web, target: str, *lines: str, method: str = "GET") -> int:
    """The status of an answer to a request that is sent as it stands."""
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "Connection: close", "", ""))
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as line:
        line.sendall(head.encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        body = answer.read()
        assert b'"fps"' not in body
        assert b"up 1" not in body
        return answer.status


@pytest.mark.parametrize("host", NAMES)
def test_a_malformed_host_is_refused_before_anything_else(guarded: Web, host: str) -> None:
    for path in ("/api/overview", "/metrics", "/view.jpg", "/healthz", "/login"):
        assert status_of(guarded, path, f"Host: {host}") == 400
    length = ("Content-Length: 0", f"Authorization: Bearer {TOKEN}")
    assert status_of(guarded, "/api/command", f"Host: {host}", *length, method="POST") == 400
    assert guarded.commands == []


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_malformed_origin_is_refused_before_anything_else(guarded: Web, origin: str) -> None:
    lines = ("Host: x", f"Origin: {origin}", f"Authorization: Bearer {TOKEN}")
    for path in ("/api/overview", "/healthz"):
        assert status_of(guarded, path, *lines) == 400
    sent = (*lines, "Content-Length: 6")
    assert status_of(guarded, "/api/command", *sent, method="POST") == 400
    assert guarded.commands == []


def test_one_request_has_one_host_and_one_origin(guarded: Web) -> None:
    twice = ("Origin: http://x", "Origin: http://x")
    assert status_of(guarded, "/healthz", "Host: x", *twice) == 400
    assert status_of(guarded, "/healthz", "Host: x", "Host: x") == 400
    assert status_of(guarded, "/healthz") == 400


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_gets_in_by_another_spelling_of_a_path(guarded: Web, target: str) -> None:
    assert status_of(guarded, target, "Host: x") in {400, 401}


@pytest.mark.parametrize(
    "target",
    ["http://x/api/overview", "http://x/static/../metrics", "http:/static/", "*", "x/static/"],
)
def test_targets_that_are_no_path_are_refused(guarded: Web, target: str) -> None:
    for host in ("x", "x:80"):
        assert status_of(guarded, target, f"Host: {host}") == 400
    assert status_of(guarded, target, "Host: x", f"Authorization: Bearer {TOKEN}") == 400


def test_access_does_not_depend_on_the_url_that_starlette_builds(
    guarded: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What versions below 1.0.1 make of "Host: x/static/".
    misled = property(lambda self: URL("http://x/static" + self.scope["path"]))
    monkeypatch.setattr(HTTPConnection, "url", misled)

    assert status_of(guarded, "/api/overview", "Host: x") == 401
    assert status_of(guarded, "/metrics", "Host: x") == 401


def test_what_is_there_without_a_token_is_a_short_list(guarded: Web) -> None:
    for path in ("/healthz", "/login", "/static/style.css", "/static/zones.js"):
        assert status_of(guarded, path, "Host: x") == 200
