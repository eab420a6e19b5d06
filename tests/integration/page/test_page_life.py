"""Commands, ports and addresses, reloads, the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest
from page_client import TOKEN, Web, free_port, messages, wait_for

from pi_detector.core.records import status_record
from pi_detector.errors import SinkError


def test_detection_is_paused_only_where_it_can_be(web: Web) -> None:
    assert web.ask("/api/command", "POST", "pause").status == 409
    assert web.ask("/api/command", "POST", "shutdown").status == 400
    assert web.commands == []

    state = status_record("model", "detection", "live")
    web.sink.handle(msgspec.structs.replace(state, part="detection"))  # type: ignore[arg-type]
    assert web.ask("/api/command", "POST", "pause").status == 200
    assert web.commands == ["pause"]


def test_a_port_that_is_taken_is_told_and_tried_again(tmp_path: Path) -> None:
    web = Web(tmp_path)
    with (
        socket.create_server(("127.0.0.1", web.port)),
        pytest.raises(SinkError, match=rf"port {web.port}: the port is in use; .* web\.port"),
    ):
        web.sink.start()

    web.sink.start()
    try:
        assert web.ask("/healthz").status == 200
    finally:
        web.sink.close()


def test_an_address_that_changes_moves_the_server_and_one_that_is_taken_does_not(web: Web) -> None:
    old, new = web.port, free_port()
    web.web = msgspec.structs.replace(web.web, port=new)
    web.sink.apply(web.settings(), [])
    web.port = new
    assert web.ask("/healthz").status == 200

    with socket.create_server(("127.0.0.1", old)):
        web.web = msgspec.structs.replace(web.web, port=old)
        with pytest.raises(SinkError):
            web.sink.apply(web.settings(), [])
    web.camera.frame()  # brings the server back where it was
    assert web.ask("/healthz").status == 200


def test_a_token_that_changes_needs_no_new_server_and_ends_what_is_open(web: Web) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with web.stream("/api/live") as stranger, web.stream("/api/live", **bearer) as friend:
        web.web = msgspec.structs.replace(web.web, token=TOKEN)
        web.sink.apply(web.settings(), [])
        while stranger.readline():
            continue
        assert next(messages(friend))[0] == "overview"
    assert web.ask("/api/overview").status == 401


def test_it_ends_in_time_while_people_look(tmp_path: Path) -> None:
    web = Web(tmp_path)
    web.sink.start()
    before = threading.active_count()
    with web.stream("/view.mjpeg"), web.stream("/api/live"):
        started_s = time.monotonic()
        web.sink.close()
        assert time.monotonic() - started_s < 4
    assert threading.active_count() < before


def test_a_reload_switches_it_on_moves_it_and_switches_it_off(tmp_path: Path) -> None:
    config, log, ports = tmp_path / "config.toml", tmp_path / "log", (free_port(), free_port())
    config.write_text("")
    command = [sys.executable, "-m", "pi_detector", "run", "--config", str(config), "--quiet"]
    with log.open("wb") as told:
        daemon = subprocess.Popen(
            [*command, "--source", "demo:"],
            stderr=told,
            env={**os.environ, "STATE_DIRECTORY": str(tmp_path)},
        )

    def ask(port: int, path: str, data: bytes | None = None) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def answers(port: int) -> bool:
        try:
            return bool(ask(port, "/healthz"))
        except OSError:
            return False

    def reload(text: str) -> None:
        config.write_text(text)
        daemon.send_signal(signal.SIGHUP)

    try:
        wait_for(lambda: "demo: live" in log.read_text())
        reload(f"[web]\nenabled = true\nport = {ports[0]}\n")
        wait_for(lambda: answers(ports[0]))
        wait_for(lambda: "pi_detector_detections_total" in ask(ports[0], "/metrics"))
        wait_for(lambda: '"detection":"live"' in ask(ports[0], "/api/overview"))
        ask(ports[0], "/api/command", b"pause")
        wait_for(lambda: '"detection":"paused"' in ask(ports[0], "/api/overview"))
        reload(f"[web]\nenabled = true\nport = {ports[1]}\n")
        wait_for(lambda: answers(ports[1]) and not answers(ports[0]))
        reload("[web]\nenabled = true\nhost = '0.0.0.0'\n")
        wait_for(lambda: "set web.token" in log.read_text())
        assert answers(ports[1])
        reload("")
        wait_for(lambda: not answers(ports[1]))
    finally:
        daemon.terminate()
    assert daemon.wait(20) == 0
