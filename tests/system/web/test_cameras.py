"""Several detectors on one page in a real Chromium: two that work, and one that is away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Daemon, Look, wait_for
from playwright.sync_api import Page, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def porch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    garden = Daemon(tmp_path_factory.mktemp("garden"), "detection.max_fps=4", token=TOKEN)
    secrets: Path = tmp_path_factory.mktemp("secrets")
    (secrets / "garden").write_text(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDENTIALS_DIRECTORY", str(secrets))
        away = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        porch = Daemon(
            tmp_path_factory.mktemp("porch"),
            "detection.max_fps=4",
            f"web.cameras={{Garden={{url='{garden.url}/',token='${{secret:garden}}'}},"
            f"Away={{url='{away}'}}}}",
        )
        yield porch
        porch.stop()
    garden.stop()


def tile(page: Page, name: str) -> str:
    return f".tile:has(a:text-is('{name}'))"


def test_all_are_shown_and_the_dead_one_says_so(porch: Daemon, look: Look) -> None:
    page = look(f"{porch.url}/cameras")
    for name in ("This camera", "Garden"):
        expect(page.locator(tile(page, name))).to_contain_text("Now: ")
        image = page.locator(f"{tile(page, name)} img")
        wait_for(lambda image=image: image.evaluate("(image) => image.naturalWidth") > 0)
    expect(page.locator(tile(page, "Away"))).to_contain_text("does not answer")


def test_events_of_all_are_in_one_list(porch: Daemon, look: Look) -> None:
    page = look(f"{porch.url}/cameras")
    events = page.locator("#events")
    for name in ("This camera", "Garden"):
        expect(events.locator(f"li:has-text('{name}')").first).to_be_visible()
    link = events.locator("li:has-text('Garden') a").first
    assert "/events/" in (link.get_attribute("href") or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(porch: Daemon, look: Look, scheme: str, width: int) -> None:
    page = look(f"{porch.url}/cameras", width=width, scheme=scheme)
    expect(page.locator(tile(page, "Away"))).to_contain_text("does not answer")
    expect(page.locator("#events li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
