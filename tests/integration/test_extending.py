"""The package of docs/extending.md: taken out of the page, installed, and run as it says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from command import pi_detector
from model_files import reshaping_model
from waiting import until
from where import CHECKOUT

PAGE = (CHECKOUT / "docs" / "extending.md").read_text("utf-8")
_BLOCK = re.compile(r"```(?:python|toml)\n# ([\w./-]+\.\w+)[^\n]*\n(.*?)```", re.DOTALL)
MOST_LINES = 28
TOKEN = "s3cret-of-the-hook"


def files_of_the_page() -> dict[str, str]:
    return dict(_BLOCK.findall(PAGE))


def code_lines(text: str) -> int:
    """Lines of a module that are neither blank nor part of a docstring."""
    code = re.sub(r'"""(?s:.*?)"""', "", text)
    return sum(bool(line.strip()) for line in code.splitlines())


def install(folder: Path) -> Path:
    """Install the package as pip would: its modules, and metadata made from its pyproject.toml."""
    files = files_of_the_page()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    package = folder / "porch_extras"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name, text in files.items():
        if name.startswith("porch_extras/"):
            (folder / name).write_text(text)
    metadata = folder / f"porch_extras-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return install(tmp_path / "site")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with the page's manifest; its model gives the image's bytes as boxes."""
    folder = tmp_path / "yard"
    folder.mkdir()
    model = reshaping_model(8, (1, 6, 32))
    (folder / "model.tflite").write_bytes(model)
    manifest = files_of_the_page()["manifest.toml"]
    assert '"SHA256"' in manifest
    manifest = manifest.replace("SHA256", hashlib.sha256(model).hexdigest())
    # Bars as bright as the card: all boxes are the same one.
    resize = 'resize = "letterbox"\n'
    assert resize in manifest
    (folder / "manifest.toml").write_text(manifest.replace(resize, f"{resize}padding = 128\n"))
    (folder / "labels.txt").write_text("person\ndog\n")
    return folder


@pytest.fixture
def hook() -> Iterator[tuple[str, list[tuple[str | None, dict[str, object]]]]]:
    """The address of a server, and what was posted to it: bearer and body."""
    posted: list[tuple[str | None, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            event = json.loads(body)
            posted.append((self.headers["Authorization"], event | {"posted_to": self.path}))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/events", posted
    server.shutdown()
    thread.join()
    server.server_close()


def env(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(site)}


def test_the_examples_are_short() -> None:
    lengths = {name: code_lines(text) for name, text in files_of_the_page().items()}
    assert set(lengths) == {
        "pyproject.toml",
        "manifest.toml",
        *(f"porch_extras/{name}.py" for name in ("card", "webhook", "yolo")),
    }
    assert max(lengths.values()) <= MOST_LINES, lengths


def test_a_run_with_all_three(site, bundle, hook, tmp_path) -> None:
    address, posted = hook
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "webhook").write_text(TOKEN)
    config = tmp_path / "pi-detector.toml"
    config.write_text(
        f'[source]\nuri = "card:128"\n[model]\npath = "{bundle}"\n'
        f'[plugins.webhook]\nurl = "{address}"\ntoken = "${{secret:webhook}}"\n'
    )
    done = pi_detector(
        "run", "--config", config, "--frames", 15,
        env=env(site) | {"CREDENTIALS_DIRECTORY": str(secrets)},
    )  # fmt: skip
    assert done.returncode == os.EX_OK, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    frames = [record for record in records if record["type"] == "detections"]
    assert len(frames) == 15
    for frame in frames:
        assert frame["source"] == "card 128"
        (found,) = frame["detections"]
        assert found["label"] == "person"
        assert found["score"] == pytest.approx(128 / 255, abs=1e-3)
        # Centre and sides are half of the input; the frame fills its width, 3/4 of its height.
        assert found["box"] == pytest.approx([0.25, 1 / 6, 0.753, 0.838], abs=0.01)
    events = [record for record in records if record["type"] == "event"]
    assert {event["phase"] for event in events} >= {"new", "end"}
    assert [body for _, body in posted] == [event | {"posted_to": "/events"} for event in events]
    assert {bearer for bearer, _ in posted} == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr


def test_a_reload_makes_the_sink_again(site, bundle, hook, tmp_path) -> None:
    address, posted = hook
    config = tmp_path / "pi-detector.toml"

    def write(path: str) -> None:
        config.write_text(
            f'[source]\nuri = "card:128"\n[model]\npath = "{bundle}"\n'
            f'[plugins.webhook]\nurl = "{address}/{path}"\n'
        )

    write("before")
    with subprocess.Popen(
        [sys.executable, "-m", "pi_detector", "run", "--config", config],
        env=os.environ | env(site), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        until(lambda: [each["phase"] for _, each in posted] == ["new"])
        write("after")
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        for line in process.stdout:
            if '"name":"reload","state":"live"' in line:
                break
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=30)
    assert process.returncode == os.EX_OK, words
    assert {(each["phase"], each["posted_to"]) for _, each in posted} == {
        ("new", "/events/before"),
        ("end", "/events/after"),
    }


def test_settings_of_a_plugin_are_checked_like_ours(site, tmp_path) -> None:
    config = tmp_path / "c.toml"

    def checked(table: str) -> tuple[int, str]:
        config.write_text(f"[plugins.webhook]\n{table}\n")
        done = pi_detector("config", "check", config, env=env(site))
        return done.returncode, done.stderr + done.stdout

    assert checked('url = "http://a/"') == (os.EX_OK, f"{config}: valid\n")
    code, words = checked('url = "http://a/"\ntimeout = 3')
    assert code == os.EX_CONFIG
    assert f"{config}:3: unknown setting `plugins.webhook.timeout`" in words
    assert "did you mean `timeout_s`?" in words
    code, words = checked('url = "http://a/"\ntimeout_s = "long"')
    assert code == os.EX_CONFIG
    assert 'c.toml:3: plugins.webhook.timeout_s: expected float, got "long"' in words
    code, words = checked("token = 3")
    assert code == os.EX_CONFIG
    assert "plugins.webhook.token: expected string, got a different value (not shown)" in words
    code, words = checked("timeout_s = 3.0")
    assert code == os.EX_CONFIG
    assert "c.toml:1: plugins.webhook: Object missing required field `url`" in words


def test_settings_of_a_plugin_are_shown_and_explained(site) -> None:
    shown = pi_detector(
        "config", "show", "--set", "plugins.webhook.url=http://u:pw@a/",
        "--set", "plugins.webhook.timeout_s=2.5",
        env=env(site) | {"PI_DETECTOR__PLUGINS__WEBHOOK__TOKEN": TOKEN},
    )  # fmt: skip
    assert shown.returncode == os.EX_OK, shown.stderr
    table = tomllib.loads(shown.stdout)["plugins"]["webhook"]
    assert table == {"url": "http://a/", "token": "***", "timeout_s": 2.5}
    example = pi_detector("config", "init", "-", env=env(site)).stdout
    assert "#[plugins.webhook]\n" in example
    assert (
        "# Posts events to a web address. A sink 'webhook' of the package porch-extras" in example
    )
    assert (
        "\n# Address that events are posted to, as JSON (string; must be set).\n#url =\n" in example
    )
    assert "\n#timeout_s = 5.0\n" in example


def test_the_doctor_lists_plugins_with_package_and_version(site) -> None:
    lines = pi_detector("doctor", env=env(site)).stdout.splitlines()
    for kind, name, target in (
        ("source", "card", "porch_extras.card:Card"),
        ("sink", "webhook", "porch_extras.webhook:Webhook"),
        ("decoder", "yolo", "porch_extras.yolo:Yolo"),
    ):
        assert f"ok    plugin {kind} {name}: porch-extras 1.0 ({target})" in lines


def test_names_that_no_package_brings(site, tmp_path) -> None:
    done = pi_detector("run", "--source", "cart:3", env=env(site))
    assert done.returncode == os.EX_CONFIG
    assert "did you mean 'card:'?" in done.stderr
    done = pi_detector("run", "--set", "plugins.webhok.url=x", env=env(site))
    assert done.returncode == os.EX_CONFIG
    assert "plugins.webhok: no package brings a sink of this name; did you mean 'webhook'?" in (
        done.stderr
    )
    done = pi_detector("run", "--set", "plugins.mqtt.url=x", env=env(site))
    assert done.returncode == os.EX_CONFIG
    assert "plugins.mqtt: is the name of a sink of pi-detector" in done.stderr


def test_a_sink_that_cannot_be_imported_is_its_own_failure(site, tmp_path) -> None:
    (site / "porch_extras" / "webhook.py").write_text("import nothing_of_that_name\n")
    words = "sink 'webhook' of the package porch-extras 1.0: ModuleNotFoundError: No module named"
    table = ("--set", "plugins.webhook.url=http://127.0.0.1:9/")
    run = ("run", "--source", "demo:", "--frames", 5, *table)
    always = pi_detector(*run, "--set", "recovery.mode=always", env=env(site))
    assert always.returncode == os.EX_OK, always.stderr
    records = [json.loads(line) for line in always.stdout.splitlines()]
    assert sum(record["type"] == "detections" for record in records) == 5
    status = [record for record in records if record["type"] == "status"]
    (failed,) = [each for each in status if (each["name"], each["state"]) == ("webhook", "failed")]
    assert words in failed["reason"]
    once = pi_detector(*run, env=env(site))
    assert once.returncode == os.EX_UNAVAILABLE
    assert words in once.stderr
    check = pi_detector(
        "config", "check", env=env(site) | {"PI_DETECTOR__PLUGINS__WEBHOOK__URL": "x"}
    )
    assert check.returncode == os.EX_UNAVAILABLE
    assert words in check.stderr
    doctor = pi_detector("doctor", *table, env=env(site)).stdout
    assert f"fail  plugins.webhook: {words}" in doctor


def test_a_source_that_fails_names_its_package(site) -> None:
    done = pi_detector("run", "--source", "card:bright", "--frames", 1, env=env(site))
    assert done.returncode == os.EX_UNAVAILABLE
    assert (
        "source 'card' of the package porch-extras 1.0: ValueError: invalid literal" in done.stderr
    )
    done = pi_detector("run", "--source", "card:900", "--frames", 1, env=env(site))
    assert done.returncode == os.EX_UNAVAILABLE
    assert "card 900: no brightness; give 0 to 255" in done.stderr
