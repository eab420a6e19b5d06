"""The HTTP API of a live detector, against its OpenAPI document."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from page_client import TOKEN, Web, free_port
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.routing import Route
from waiting import until

from pi_detector.cli.main import main
from pi_detector.sinks.web.openapi import openapi
from pi_detector.sinks.web.operations import OPERATIONS, PREFIX, Operation

schema = schemathesis.openapi.from_dict(openapi())
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ENDLESS = [f"{PREFIX}/live", "/view.mjpeg", "/live.ts"]
# Settings have rules beyond their types (a polygon that meets itself), and a cursor beyond its
# pattern (a day that does not exist).
STRICTER = {f"{PREFIX}/places", f"{PREFIX}/events", f"{PREFIX}/settings/backup"}


@schemathesis.serializer("application/toml")
def toml(_: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a run on ``demo:``, with recordings and a token."""
    folder = tmp_path_factory.mktemp("detector")
    port, log = free_port(), folder / "log"
    config = folder / "config.toml"
    config.write_text(
        f'[web]\nenabled = true\nport = {port}\ntoken = "{TOKEN}"\n[recording]\nenabled = true\n'
    )
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "pi_detector", "run", "--config", config, "--source", "demo:",
             "--quiet"],
            stderr=stderr, env={**os.environ, "STATE_DIRECTORY": str(folder)},
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"

    def is_well() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    until(is_well, interval_s=0.1)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@schema.exclude(path=ENDLESS).parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_operation_does_what_its_document_says(case: schemathesis.Case, detector: str) -> None:
    # Wrong tokens are counted over all: beyond the first ones 429 answers instead of 401.
    left_out = [ignored_auth]
    if case.path in STRICTER:
        left_out.append(positive_data_acceptance)
    case.call_and_validate(base_url=detector, headers=BEARER, excluded_checks=left_out)


def test_the_document_is_served(detector: str) -> None:
    asked = urllib.request.Request(f"{detector}{PREFIX}/openapi.json", headers=BEARER)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert json.load(answer) == json.loads(json.dumps(openapi()))


def test_the_command_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--format", "openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(openapi()))


def test_all_addresses_for_programs_are_documented(web: Web) -> None:
    served = {
        (method.lower(), route.path.replace(":path}", "}"))
        for route in web.sink.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    for_programs = {
        (method, path)
        for method, path in served
        if path.startswith((PREFIX, "/view", "/live.ts", "/media", "/metrics", "/healthz"))
    }
    assert for_programs == {(operation.method, operation.path) for operation in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_all_but_health_takes_a_token(make: Callable[..., Web], operation: Operation) -> None:
    guarded = make(token=TOKEN)
    path = operation.path.replace("{path}", "2026/x.jpg")
    method = operation.method.upper()
    status = guarded.ask(path, method, None if method == "GET" else "{}").status
    assert status == (200 if operation.public else 401)


def test_commands_are_json_or_a_word(web: Web) -> None:
    path, json_type = f"{PREFIX}/command", {"Content-Type": "application/json"}
    assert web.ask(path, "POST", '{"command": "reload"}', **json_type).status == 200
    assert web.ask(path, "POST", "reload").status == 200
    assert web.commands == ["reload", "reload"]
    for wrong in ('{"command": "shutdown"}', '{"command": "reload", "x": 1}', '"reload"', "{"):
        assert web.ask(path, "POST", wrong, **json_type).status == 400


def test_an_address_names_all_of_its_methods(web: Web) -> None:
    refused = web.ask(f"{PREFIX}/places", "DELETE")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, PUT")


def test_pages_that_are_open_find_the_addresses_without_a_version(web: Web) -> None:
    assert web.ask("/api/places").body == web.ask(f"{PREFIX}/places").body
