"""Settings changed in a real Chromium, with mouse and keyboard."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Daemon, Look, wait_for
from playwright.sync_api import Page, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)
BAR = "#save"


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, "schedule.night={start='22:00',end='06:00'}")
    yield daemon
    daemon.stop()


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a webhook, and what it got."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/geheim", got
    server.shutdown()
    server.server_close()


def saved(owner: Daemon) -> dict[str, Any]:
    return tomllib.loads(owner.drawn.with_name("page.toml").read_text())


def see_saved(page: Page, words: str = "Saved") -> None:
    expect(page.locator("#done")).to_contain_text(words)
    expect(page.locator(BAR)).to_be_hidden()


def test_a_setting_is_changed_and_reset(owner: Daemon, look: Look) -> None:
    page = look(f"{owner.url}/settings")
    lowest = page.get_by_label("Lowest score", exact=True).first
    lowest.fill("0.62")
    page.get_by_label("Lowest score by class, person").fill("0.7")
    expect(page.locator("#summary")).to_have_text("2 changes")
    page.get_by_role("button", name="Save").click()
    see_saved(page)
    assert saved(owner)["detection"] == {"min_score": 0.62, "min_scores": {"person": 0.7}}
    wait_for(lambda: "min_score = 0.62" in owner.settings())

    page.get_by_role("button", name="Reset Lowest score", exact=True).click()
    see_saved(page, "again")
    assert saved(owner)["detection"] == {"min_scores": {"person": 0.7}}
    expect(lowest).to_have_value("")


def test_a_restart_is_said_before_saving(owner: Daemon, look: Look) -> None:
    page = look(f"{owner.url}/settings", width=390, height=844)
    page.get_by_label("Rotation").select_option("180")
    expect(page.locator("#summary")).to_have_text("1 change; at the next restart: Rotation")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(BAR)).to_be_hidden()
    expect(page.get_by_label("Rotation")).to_have_value("0")
    page.get_by_label("Rotation").select_option("180")
    page.get_by_role("button", name="Save").click()
    see_saved(page, "At the next restart: Rotation")
    expect(page.locator("#waiting")).to_contain_text("Rotation")


def test_a_rule_by_the_keyboard_and_its_test_message(
    owner: Daemon, look: Look, hook: tuple[str, list[bytes]]
) -> None:
    url, got = hook
    page = look(f"{owner.url}/settings")
    page.get_by_label("Lowest score", exact=True).first.fill("0.6")
    page.locator("#new-notify").focus()
    page.keyboard.type("phone")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Lowest score", exact=True).first).to_have_value("0.6")
    rule = page.get_by_role("group", name="phone")
    rule.get_by_label("Send to").fill(url)
    rule.get_by_label("who has left").check()
    page.locator("#field-notify-phone-cooldown_s").fill("30")
    page.keyboard.press("Enter")
    see_saved(page)
    assert saved(owner)["notify"]["phone"]["when"] == ["new", "end"]
    expect(rule).to_contain_text("/***")
    expect(page.locator("body")).not_to_contain_text("geheim")

    wait_for(lambda: "phone" in owner.settings())
    rule.get_by_role("button", name="Send a test message").click()
    expect(rule).to_contain_text("Sent.")
    assert got

    rule.get_by_role("button", name="Remove phone").click()
    page.get_by_role("button", name="Save").click()
    see_saved(page)
    assert "notify" not in saved(owner)


def test_a_wrong_value_is_refused_with_a_reason(owner: Daemon, look: Look) -> None:
    page = look(f"{owner.url}/settings")
    page.locator("#field-recording-pre_s").fill("900")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#problem")).to_be_visible()
    page.locator("#field-recording-pre_s").fill("9")
    page.locator("#field-detection-schedules").fill("nihgt")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#problem")).to_contain_text('did you mean "night"?')
    page.locator("#field-detection-schedules").fill("night")
    page.get_by_role("button", name="Save").click()
    see_saved(page)


def test_a_backup_is_taken_and_restored(owner: Daemon, look: Look, tmp_path: Path) -> None:
    page = look(f"{owner.url}/settings")
    page.locator("#field-recording-pre_s").fill("8")
    page.get_by_role("button", name="Save").click()
    see_saved(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download a backup").click()
    file = tmp_path / "backup.toml"
    download.value.save_as(file)
    page.get_by_role("button", name="Reset Seconds before").click()
    see_saved(page, "again")
    page.locator("#backup").set_input_files(file)
    expect(page.locator("#done")).to_have_text("Restored.")
    assert saved(owner)["recording"] == {"pre_s": 8}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(owner: Daemon, look: Look, scheme: str, width: int) -> None:
    page = look(f"{owner.url}/settings", width=width, scheme=scheme)
    page.locator("#new-notify").fill("phone")
    page.get_by_role("button", name="Add a rule").click()
    page.get_by_label("Rotation").select_option("90")
    expect(page.locator(BAR)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
