"""The daemon on ``demo:``, and a browser that looks at its page."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 120.0
# A request that the server refuses is an error on the console of Chromium, and no fault of a page.
REFUSED = "Failed to load resource: the server responded with a status of"


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


class Daemon:
    """``pi-detector run``, with the page at ``url``."""

    def __init__(self, folder: Path, *settings: str, token: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.drawn = folder / "drawn.toml"
        self.log = folder / "log"
        self.environ = {**os.environ, "STATE_DIRECTORY": str(folder), "PYTHONFAULTHANDLER": "1"}
        config = folder / "config.toml"
        config.write_text(f'[web]\nenabled = true\nport = {port}\ntoken = "{token}"\n')
        chosen = [part for each in settings for part in ("--set", each)]
        command = [sys.executable, "-m", "pi_detector", "--config", str(config), *chosen]
        self.command = command
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "run", "--source", "demo:", "--quiet"], stderr=log, env=self.environ
            )
        wait_for(self.is_well)

    def is_well(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def settings(self) -> str:
        """What ``config show`` prints."""
        shown = [*self.command, "config", "show"]
        return subprocess.run(
            shown, env=self.environ, check=True, capture_output=True, text=True
        ).stdout

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.log.read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    recording = ("recording.enabled=true", "recording.post_s=1", "recording.longest_clip_s=10")
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), *recording, "telemetry.interval_s=2")
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("guarded"), token="correct-horse-battery")
    yield daemon
    daemon.stop()


Look = Callable[..., Page]


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Opens pages, on which nothing may go wrong."""
    wrong: list[str] = []
    with _contexts(browser, wrong) as open_page:
        yield open_page
    assert wrong == []


@contextmanager
def _contexts(browser: Browser, wrong: list[str]) -> Iterator[Look]:
    contexts = []

    def open_page(
        url: str,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        locale: str = "en-GB",
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="UTC",
            locale=locale,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: wrong.append(f"{error}"))
        page.on(
            "console",
            lambda message: (
                wrong.append(message.text)
                if message.type in {"error", "warning"} and not message.text.startswith(REFUSED)
                else None
            ),
        )
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error('CSP', event.violatedDirective, event.blockedURI))"
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
