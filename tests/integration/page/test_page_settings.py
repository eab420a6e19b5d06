"""Settings changed on the page: what is shown, saved, refused, backed up, and sent as a test."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from page_client import Answer, Web

PATH = "/api/v1/settings"
JSON = {"Content-Type": "application/json"}


def shown(web: Web) -> Any:
    answer = web.ask(PATH)
    assert answer.status == 200, answer.body
    return answer.json()


def change(web: Web, *edits: tuple[str, Any], reset: tuple[str, ...] = (), **more: Any) -> Answer:
    body = {
        "version": shown(web)["version"],
        "set": [{"path": path.split("."), "value": value} for path, value in edits],
        "reset": [path.split(".") for path in reset],
        **more,
    }
    return web.ask(PATH, "PATCH", json.dumps(body), **JSON)


def field(web: Web, path: str) -> Any:
    fields = [each for table in shown(web)["tables"] for each in table["fields"]]
    return next(each for each in fields if each["path"] == path.split("."))


def saved(web: Web) -> dict[str, Any]:
    return tomllib.loads((web.folder / "page.toml").read_text())


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server for webhooks, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook-geheim", got
    server.shutdown()
    server.server_close()


def test_a_change_is_saved_in_a_file_of_its_own_and_read(web: Web) -> None:
    answer = change(web, ("detection.min_score", 0.55), ("detection.min_scores.person", 0.7))
    assert answer.status == 200
    assert answer.json()["saved"]
    assert saved(web)["detection"] == {"min_score": 0.55, "min_scores": {"person": 0.7}}
    assert web.commands == ["reload"]
    assert web.settings().detection.min_scores == {"person": 0.7}
    assert (web.folder / "page.toml").stat().st_mode & 0o077 == 0
    now = field(web, "detection.min_score")
    assert (now["value"], now["otherwise"], now["changed"]) == (0.55, None, True)


def test_the_name_of_the_camera_is_a_setting_of_its_owner(web: Web) -> None:
    assert change(web, ("web.name", "Porch")).status == 200
    assert saved(web) == {"web": {"name": "Porch"}}
    assert change(web, ("web.name", "x" * 61)).status == 422


def test_a_reset_takes_the_settings_file_again(web: Web) -> None:
    assert change(web, ("recording.pre_s", 9.0), ("motion.enabled", True)).status == 200
    assert change(web, reset=("recording.pre_s",)).status == 200
    assert saved(web) == {"motion": {"enabled": True}}
    assert field(web, "recording.pre_s")["value"] == 5.0


def test_what_takes_a_restart_is_said_before_saving(web: Web) -> None:
    said = change(web, ("source.rotate", 180), ("motion.enabled", True), save=False).json()
    assert (said["restart"], said["saved"]) == (["source.rotate"], False)
    assert not (web.folder / "page.toml").exists()
    assert field(web, "source.rotate")["restart"]
    assert not field(web, "motion.enabled")["restart"]
    assert web.commands == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("detection.min_score", 3, "detection.min_score: expected float in 0"),
        ("detection.schedules", ["nihgt"], "does not exist"),
        ("notify.phone.labels", ["person"], "neither urls nor a command"),
        ("notify.phone.command", ["sh"], "cannot be changed on the page"),
        ("web.token", "correct-horse-battery", "cannot be changed on the page"),
        ("web", {"host": "0.0.0.0"}, "cannot be changed on the page"),
        ("recording.path", "/etc", "cannot be changed on the page"),
        ("source.uri", "rtsp://x", "cannot be changed on the page"),
        ("notify.phone.urls", ["https://evil/${secret:web}"], "may not refer to a secret"),
        ("schedule.night.start", "${secret:web}", "may not refer to a secret"),
        ("detection.max_fps", None, "reset it instead"),
    ],
)
def test_what_is_refused(web: Web, path: str, value: Any, words: str) -> None:
    refused = change(web, (path, value))
    assert (refused.status, words in refused.json()["error"]) == (422, True), refused.body
    assert not (web.folder / "page.toml").exists()
    assert web.commands == []


def test_of_several_changes_all_are_saved_or_none(web: Web) -> None:
    assert change(web, ("motion.enabled", True), ("recording.pre_s", -1)).status == 422
    assert not field(web, "motion.enabled")["value"]


def test_a_change_of_older_settings_is_refused(web: Web) -> None:
    old = shown(web)["version"]
    assert change(web, ("motion.enabled", True)).status == 200
    body = {"version": old, "set": [{"path": ["motion", "enabled"], "value": False}]}
    assert web.ask(PATH, "PATCH", json.dumps(body), **JSON).status == 409
    assert field(web, "motion.enabled")["value"]


def test_the_command_line_is_above_the_page(make: Callable[..., Web]) -> None:
    web = make(overrides=("motion.enabled=true",))
    refused = change(web, ("motion.enabled", False))
    assert refused.status == 409
    assert "motion.enabled" in refused.json()["error"]


def test_rules_are_made_tried_and_removed(
    web: Web, received: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = received
    assert change(web, ("notify.phone.urls", [url]), ("notify.phone.labels", ["car"])).status == 200
    assert web.ask("/api/v1/notify/phone/test", "POST").status == 503  # no frame yet
    web.camera.frame()
    (tried,) = web.ask("/api/v1/notify/phone/test", "POST").json()
    assert tried["problem"] is None
    assert '"label": "car"' in json.dumps(got[0])
    assert web.ask("/api/v1/notify/nobody/test", "POST").status == 404
    assert change(web, reset=("notify.phone",)).status == 200
    assert saved(web) == {}


def test_a_test_message_that_fails_says_why(web: Web) -> None:
    assert change(web, ("notify.phone.urls", ["http://127.0.0.1:9/x"])).status == 200
    web.camera.frame()
    (tried,) = web.ask("/api/v1/notify/phone/test", "POST").json()
    assert "refused" in tried["problem"]


def test_secrets_are_never_shown(web: Web, received: tuple[str, list[dict[str, Any]]]) -> None:
    url, _ = received
    assert change(web, ("notify.phone.urls", [url])).status == 200
    web.camera.frame()
    answers = [
        web.ask(PATH),
        web.ask(f"{PATH}/backup"),
        web.ask("/api/v1/notify/phone/test", "POST"),
    ]
    for answer in answers:
        assert answer.status == 200
        assert b"geheim" not in answer.body
    assert field(web, "notify.phone.urls")["value"][0].endswith("/***")


def test_a_backup_is_restored(web: Web) -> None:
    secret = "https://example.org/geheim"
    assert change(web, ("notify.phone.urls", [secret]), ("recording.pre_s", 8.0)).status == 200
    backup = web.ask(f"{PATH}/backup").body.decode()
    assert change(web, ("recording.pre_s", 2.0)).status == 200
    restored = web.ask(f"{PATH}/backup", "PUT", backup, **{"Content-Type": "application/toml"})
    assert restored.status == 200, restored.body
    assert saved(web)["recording"] == {"pre_s": 8.0}
    assert saved(web)["notify"]["phone"]["urls"] == [secret]
    (web.folder / "page.toml").unlink()
    assert web.ask(f"{PATH}/backup", "PUT", backup).status == 200
    assert saved(web)["notify"]["phone"] == {"enabled": False}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "backup = 2\n",
        "backup = 1\n[files]\n'../x' = ''\n",
        "backup = 1\n[files]\n'page.toml' = '[web]\\ntoken = \"x\"'\n",
        "backup = 1\n[files]\n'page.toml' = '''[notify.a]\nurls = [\"http://x/${secret:web}\"]'''\n",
        "backup = 1\n[files]\n'drawn.toml' = '[web]'\n",
    ],
)
def test_what_is_no_backup_is_refused(web: Web, text: str) -> None:
    assert web.ask(f"{PATH}/backup", "PUT", text).status in {409, 422}
    assert not (web.folder / "page.toml").exists()
    assert not (web.folder / "drawn.toml").exists()


def test_a_run_that_saves_nothing_says_so(web: Web, tmp_path: Path) -> None:
    web.sink._desk._file = None
    assert shown(web)["locked"]
    assert change(web, ("motion.enabled", True)).status == 409
