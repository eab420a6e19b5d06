"""What a user does with the page, done by a real Chromium."""

from __future__ import annotations

import tomllib
import urllib.request

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Daemon, Look, wait_for
from playwright.sync_api import Page, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)
PARTS = ("", "review", "zones")


def box_of(page: Page) -> tuple[float, float, float, float]:
    box = page.locator("#drawing").bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def click_at(page: Page, *points: tuple[float, float]) -> None:
    """Click at points in 0..1 of the picture."""
    left, top, width, height = box_of(page)
    for x, y in points:
        page.mouse.click(left + x * width, top + y * height)


def tab_to(page: Page, selector: str) -> None:
    """Go to an element by the tabulator key alone."""
    for _ in range(200):
        if page.evaluate("(at) => document.activeElement?.matches(at)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} cannot be reached by the keyboard")


def brightness(daemon: Daemon, at: tuple[float, float]) -> float:
    """The mean brightness of the newest frame about a point in 0..1."""
    with urllib.request.urlopen(f"{daemon.url}/view.jpg", timeout=30) as answer:
        image = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    height, width = image.shape
    x, y = round(at[0] * width), round(at[1] * height)
    return float(image[y - 5 : y + 5, x - 5 : x + 5].mean())


def expect_live(page: Page) -> None:
    """The page is connected, and the frame is on the screen."""
    expect(page.locator("#state")).to_have_text("Live")


def open_zones(look: Look, daemon: Daemon) -> Page:
    page = look(f"{daemon.url}/zones")
    expect_live(page)
    return page


def test_the_live_picture_moves(look: Look, daemon: Daemon) -> None:
    page = look(daemon.url)
    picture = page.locator("#picture")
    expect(page.locator("#stage")).to_have_class("stage painted")

    first = picture.screenshot()

    wait_for(lambda: picture.screenshot() != first)
    page.locator("#device-summary").click()
    expect(page.locator("#figures")).to_contain_text("frames/s")
    expect(page.locator("#measured")).to_contain_text("Measured")


def test_an_event_appears_without_reload(look: Look, daemon: Daemon) -> None:
    page = look(daemon.url)
    page.evaluate("window.marked = true")
    ids = "[...document.querySelectorAll('#latest li')].map((item) => item.dataset.id)"
    expect(page.locator("#latest li").first).to_be_visible()
    known = set(page.evaluate(ids))

    wait_for(lambda: set(page.evaluate(ids)) - known)

    assert page.evaluate("window.marked")


def test_a_zone_is_drawn_with_the_mouse_and_in_force(look: Look, daemon: Daemon) -> None:
    page = open_zones(look, daemon)
    page.get_by_role("button", name="Add zone").click()
    click_at(page, (0.02, 0.3), (0.98, 0.3), (0.98, 0.99), (0.02, 0.99), (0.02, 0.3))
    page.get_by_label("Name").fill("whole yard")
    page.get_by_label("Seconds until loitering").fill("5")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#saved")).to_have_text("Saved and applied.")
    zone = tomllib.loads(daemon.drawn.read_text())["zones"]["whole yard"]
    assert zone["loiter_s"] == 5
    flat = [value for corner in zone["polygon"] for value in corner]
    assert flat == pytest.approx([0.02, 0.3, 0.98, 0.3, 0.98, 0.99, 0.02, 0.99], abs=0.01)
    assert '"whole yard"' in daemon.settings()
    page.get_by_role("link", name="Live").click()
    expect(page.locator("#latest")).to_contain_text("whole yard")


def test_corners_are_moved_added_and_removed_with_the_mouse(look: Look, daemon: Daemon) -> None:
    page = open_zones(look, daemon)
    page.get_by_role("button", name="Add motion mask").click()
    click_at(page, (0.2, 0.2), (0.4, 0.2), (0.3, 0.4), (0.2, 0.2))
    left, top, width, height = box_of(page)

    page.mouse.move(left + 0.3 * width, top + 0.2 * height)  # between the first two corners
    page.mouse.down()
    page.mouse.move(left + 0.3 * width, top + 0.1 * height, steps=5)
    page.mouse.up()
    expect(page.locator(".handle:not(.middle)")).to_have_count(4)
    page.keyboard.press("Delete")
    expect(page.locator(".handle:not(.middle)")).to_have_count(3)
    page.keyboard.press("Delete")  # a mask keeps three
    expect(page.locator(".handle:not(.middle)")).to_have_count(3)
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#shapes")).not_to_contain_text("mask")


def test_a_privacy_mask_is_drawn_and_the_picture_is_black_there(look: Look, daemon: Daemon) -> None:
    page = open_zones(look, daemon)
    page.get_by_role("button", name="Add privacy mask").click()
    click_at(page, (0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.4), (0.1, 0.1))
    page.get_by_label("Name").fill("window")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#saved")).to_have_text("Saved and applied.")
    assert set(tomllib.loads(daemon.drawn.read_text())["privacy"]) == {"window"}
    wait_for(lambda: brightness(daemon, (0.15, 0.35)) < 8)
    assert brightness(daemon, (0.6, 0.9)) > 8

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#saved")).to_have_text("Saved and applied.")
    assert "privacy" not in tomllib.loads(daemon.drawn.read_text())
    wait_for(lambda: brightness(daemon, (0.15, 0.35)) > 8)


def test_a_line_is_drawn_by_the_keyboard_alone(look: Look, daemon: Daemon) -> None:
    page = open_zones(look, daemon)
    tab_to(page, "[data-add=lines]")
    page.keyboard.press("Enter")
    for key in ["Shift+ArrowLeft"] * 4 + ["Enter"] + ["Shift+ArrowRight"] * 8 + ["Enter", "f"]:
        page.keyboard.press(key)
    page.keyboard.type("kerb")
    tab_to(page, ".handle[data-key=point-1]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#save")
    page.keyboard.press("Enter")

    expect(page.locator("#saved")).to_have_text("Saved and applied.")
    expect(page.locator("#save-bar")).to_be_hidden()
    points = tomllib.loads(daemon.drawn.read_text())["lines"]["kerb"]["points"]
    assert points == [[pytest.approx(0.3), 0.5], [pytest.approx(0.7), pytest.approx(0.51)]]


def test_what_is_wrong_is_told_and_not_saved(look: Look, daemon: Daemon) -> None:
    page = open_zones(look, daemon)
    before = daemon.drawn.read_text() if daemon.drawn.exists() else None
    page.get_by_role("button", name="Add zone").click()
    click_at(page, (0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8), (0.2, 0.2))
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#unsaved")).to_contain_text("meets side")
    assert (daemon.drawn.read_text() if daemon.drawn.exists() else None) == before


def test_the_token_is_wanted(look: Look, guarded: Daemon) -> None:
    page = look(guarded.url)
    expect(page).to_have_url(f"{guarded.url}/login")
    page.get_by_label("Token").fill("a wrong token of some length")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Wrong token.")

    page.get_by_label("Token").fill("correct-horse-battery")
    page.keyboard.press("Enter")
    expect_live(page)
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{guarded.url}/login")
    page.goto(guarded.url)
    expect(page).to_have_url(f"{guarded.url}/login")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("part", [*PARTS, "login"])
def test_everybody_can_use_it(look: Look, daemon: Daemon, part: str, scheme: str) -> None:
    path = "login?wrong" if part == "login" else part
    page = look(f"{daemon.url}/{path}", scheme=scheme)
    if part != "login":
        expect_live(page)
    if part == "review":
        expect(page.locator("a.visit").first).to_be_visible()
    if part == "zones":
        page.get_by_role("button", name="Add zone").click()
        click_at(page, (0.2, 0.2), (0.8, 0.2), (0.5, 0.8), (0.2, 0.2))

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("width", [320, 390, 768])
def test_it_fits_small_screens(look: Look, daemon: Daemon, part: str, width: int) -> None:
    page = look(f"{daemon.url}/{part}", width=width, height=844)
    expect_live(page)

    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_a_picture_that_is_not_looked_at_is_not_sent(look: Look, daemon: Daemon) -> None:
    page = look(daemon.url)
    viewers = "fetch('/api/overview').then((answer) => answer.json()).then((now) => now.viewers)"
    wait_for(lambda: page.evaluate(viewers) == 1)

    page.get_by_role("link", name="Review", exact=True).click()

    wait_for(lambda: page.evaluate(viewers) == 0)


def test_programs_get_pictures_and_metrics(daemon: Daemon) -> None:
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=30) as answer:
        assert b"pi_detector_frames_processed_total" in answer.read()
    with urllib.request.urlopen(f"{daemon.url}/view.jpg", timeout=30) as answer:
        assert answer.read(2) == b"\xff\xd8"
