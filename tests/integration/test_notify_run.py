"""A run that sends messages, as a user sees it: the porch clip, the command, the doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from command import pi_detector
from notified import a_hook, picture_of
from where import CHECKOUT

SHARED = Path(os.environ.get("PI_DETECTOR_SHARED", CHECKOUT.parent / "shared"))
PORCH = SHARED / "video" / "ambianic_cam_person1.mkv"


def config(folder: Path, **rule: Any) -> Path:
    file = folder / "config.toml"
    file.write_text(tomli_w.dumps({"notify": {"phone": rule}}))
    return file


@pytest.mark.slow
@pytest.mark.skipif(not PORCH.exists(), reason="needs the clip of a porch")
def test_a_visitor_is_one_message_with_a_face_within_two_seconds(tmp_path: Path) -> None:
    arrived: list[float] = []
    with a_hook() as hook:
        answer = hook.answer

        def noting(request: Any) -> None:
            arrived.append(time.time())
            answer(request)

        hook.answer = noting  # type: ignore[method-assign]
        file = config(tmp_path, urls=[hook.url], when=["new", "end"], image_width=0)
        done = pi_detector(
            *("run", "--config", file, "--source", PORCH, "--set", "output.stdout=jsonl"),
            *("--set", "events.min_duration_s=0"),  # a file runs as fast as the machine is
            env={"HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    events = [each for each in records if each["type"] == "event"]
    new = next(each for each in events if each["phase"] == "new")
    assert [message["when"] for message in hook.taken] == ["new", "end"]
    assert [message["events"][0]["id"] for message in hook.taken] == [new["id"]] * 2
    waited_s = arrived[0] - datetime.fromisoformat(new["time"]).timestamp()
    assert waited_s < 2, f"{waited_s:.2f} s from new to the server"
    print(f"{waited_s:.2f} s from the frame of new to the server")

    # His face: in this clip he is whole in the picture, his head in the upper half of it.
    picture = picture_of(hook.taken[0])
    left, top, right, bottom = new["best"]["box_px"]
    assert picture.shape == (720, 1280, 3)
    assert top > 0
    assert bottom - top > 0.5 * picture.shape[0]
    face = picture[int(top) : int(top + (bottom - top) / 4), int(left) : int(right)]
    assert face.std() > 20


def test_a_message_is_tried(tmp_path: Path) -> None:
    with a_hook() as hook:
        hook.answers = [200, 401]
        urls = [hook.url, hook.url, "ntfy://127.0.0.1:9/t0pic"]
        file = config(tmp_path, urls=urls, command=["true"])
        done = pi_detector("notify", "test", "phone", "--config", file)
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["ok", "fail", "fail", "ok"]
        assert "HTTP 401 Unauthorized" in lines[1]
        assert "by ntfy: not taken: A Connection error occurred" in lines[2]
        assert "t0pic" not in done.stdout + done.stderr
        assert done.returncode == os.EX_UNAVAILABLE
        assert picture_of(hook.taken[0]).shape[1] == 640
        assert hook.taken[0]["events"][0]["id"].startswith("test-")

        assert pi_detector("notify", "test", "fone", "--config", file).returncode == os.EX_CONFIG
        unknown = pi_detector("notify", "test", "fone", "--config", file).stderr
        assert "there is no rule fone; did you mean phone?" in unknown


def test_the_doctor_says_how_to_try(tmp_path: Path) -> None:
    file = config(tmp_path, urls=["ntfy://127.0.0.1:9/t0pic"])
    done = pi_detector("doctor", "--json", "--config", file)
    checks = [each for each in json.loads(done.stdout)["checks"] if each["what"] == "messages"]
    assert "pi-detector notify test phone" in checks[0]["finding"]


def test_a_unit_that_forbids_the_internet_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd shows the unit with and without the drop-in of allow-internet.sh."""
    shown = tmp_path / "shown"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\ncat {shown}\n")
    systemctl.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    far = config(tmp_path, urls=["ntfys://topic"])
    denied = (
        "LoadState=loaded\nIPAddressDeny=::/0 0.0.0.0/0\nIPAddressAllow=127.0.0.0/8 10.0.0.0/8\n"
    )
    shown.write_text(denied)
    words = "the service may not reach the internet"
    assert words in pi_detector("doctor", "--config", far, env=path).stdout
    assert "allow-internet.sh" in pi_detector("doctor", "--config", far, env=path).stdout
    shown.write_text(denied + "IPAddressAllow=::/0 0.0.0.0/0\n")
    assert words not in pi_detector("doctor", "--config", far, env=path).stdout
    shown.write_text(denied)
    near = config(tmp_path, urls=["http://192.168.1.5/", "ntfy://ntfy.lan/topic"])
    assert words not in pi_detector("doctor", "--config", near, env=path).stdout


def test_nothing_is_sent_nor_imported_without_a_rule(tmp_path: Path) -> None:
    script = (
        "import sys; from pi_detector.cli.main import main\n"
        "options = ['--frames', '3', '--set', 'output.stdout=none']\n"
        "code = main(['run', '--source', 'demo:', *options])\n"
        "import threading\n"
        "print(code, [n for n in sys.modules if 'notify' in n and 'sinks' in n or n == 'apprise'],"
        " [t.name for t in threading.enumerate() if 'notify' in t.name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout == "0 [] []\n", done.stderr
