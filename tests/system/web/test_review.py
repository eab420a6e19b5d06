"""Review, with thousands of events: filters, search, the timeline, and what is new."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Daemon, Look
from playwright.sync_api import Page, Route, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)
LABELS = ["car", "dog", "person"]
ZONES: list[list[str]] = [[], ["door"], ["door", "path"]]
APART_MS = 10 * 60_000


def listed(many: int) -> dict[str, Any]:
    """Events ten minutes apart, the latest one hour ago; each tenth with a dog beside it."""
    now = int(time.time() * 1000) - 3_600_000
    return {
        "recorded": True, "labels": LABELS, "zones": ZONES, "earlier": None,
        "id": [f"event-{at}" for at in range(many)],
        "label": [1 if at % 10 == 1 else 2 * (at // 10 % 2) for at in range(many)],
        "zone": [at % 3 for at in range(many)],
        "started_ms": [now - (at - (at % 10 == 1)) * APART_MS for at in range(many)],
        "duration_ms": [5000] * many,
        "flags": [0 if at < 5 else 2 for at in range(many)],
    }  # fmt: skip


def review(look: Look, daemon: Daemon, many: int, path: str = "/review", **how: Any) -> Page:
    page = look(f"{daemon.url}/static/icon.svg", **how)  # which asks for nothing
    quiet = {"content_type": "text/event-stream", "body": ": nothing happens\n\n"}
    page.route("**/api/v1/live", lambda route: route.fulfill(**quiet))
    page.route("**/api/v1/review", lambda route: answer(route, many))
    page.route("**/thumbnail.jpg*", lambda route: route.fulfill(status=404))
    page.goto(f"{daemon.url}{path}")
    return page


def answer(route: Route, many: int) -> None:
    if route.request.method == "GET":
        route.fulfill(body=json.dumps(listed(many)), content_type="application/json")
    else:
        route.fulfill(body='{"done": true}', content_type="application/json")


def first_times(page: Page) -> list[int]:
    """When the visits of the row at the top of the screen began, in milliseconds since 1970."""
    script = """() => {
        const covered = document.getElementById('review-head').getBoundingClientRect().bottom;
        const rows = [...document.querySelectorAll('.row')];
        const first = rows.find((row) => row.getBoundingClientRect().bottom > covered);
        return [...first.querySelectorAll('time')].map((time) => Date.parse(time.dateTime));
    }"""
    return [int(at) for at in page.evaluate(script)]


@pytest.mark.parametrize("width", [390, 1440])
def test_of_ten_thousand_events_only_those_on_the_screen_exist(
    look: Look, daemon: Daemon, width: int
) -> None:
    page = review(look, daemon, 10_000, width=width)
    expect(page.locator("a.visit").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") > 100_000
    for share in (0, 0.3, 0.7, 1):
        page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        expect(page.locator("a.visit").first).to_be_visible()
        assert 0 < page.locator("a.visit").count() < 100


def test_overlapping_events_are_one_visit(look: Look, daemon: Daemon) -> None:
    page = review(look, daemon, 8)
    expect(page.locator("a.visit").first).to_contain_text("Dog, car")
    expect(page.locator("a.visit")).to_have_count(7)


def test_filters_are_chips_in_the_address_and_back_takes_them_off(
    look: Look, daemon: Daemon
) -> None:
    page = review(look, daemon, 300)
    page.get_by_role("button", name="Dog 30").click()
    expect(page).to_have_url(f"{daemon.url}/review?label=dog")
    expect(page.locator("a.visit").first).to_contain_text("Dog")
    expect(page.locator("a.visit", has_text="Person")).to_have_count(0)
    page.get_by_role("button", name="Not reviewed").click()
    expect(page.locator("a.visit")).to_have_count(1)
    page.go_back()
    expect(page).to_have_url(f"{daemon.url}/review?label=dog")
    expect(page.get_by_role("button", name="Not reviewed")).to_have_attribute(
        "aria-pressed", "false"
    )
    page.get_by_role("button", name="Clear filters").click()
    expect(page).to_have_url(f"{daemon.url}/review")

    page.get_by_label("Search events").fill("path person")
    expect(page.locator("a.visit", has_text="Car")).to_have_count(0)
    page.get_by_label("Search events").fill("nobody")
    expect(page.locator("#no-events")).to_have_text("No event passes these filters.")


def test_the_timeline_leads_to_a_day_and_an_hour(look: Look, daemon: Daemon) -> None:
    page = review(look, daemon, 2000)
    days = page.locator("#days button")
    expect(days.nth(12)).to_be_attached()
    day = days.nth(days.count() - 4)
    wanted = int(day.get_attribute("data-at") or 0)
    day.click()
    expect(day).to_have_attribute("aria-current", "date")
    assert wanted <= max(first_times(page)) < wanted + 86_400_000

    page.locator("#hours").focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page.locator("#hours")).to_have_attribute("aria-valuetext", "06:00: 3 events")
    hour = wanted + 6 * 3_600_000
    assert any(hour <= at < hour + 3_600_000 for at in first_times(page))


def test_all_are_marked_as_reviewed(look: Look, daemon: Daemon) -> None:
    page = review(look, daemon, 40)
    expect(page.locator("a.visit.fresh")).to_have_count(4)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.get_by_role("button", name="Mark all as reviewed").click()
    assert sent.value.post_data_json["ids"] == [f"event-{at}" for at in range(5)]
    expect(page.locator("a.visit.fresh")).to_have_count(0)


def test_it_speaks_spanish(look: Look, daemon: Daemon) -> None:
    page = review(look, daemon, 30, locale="es-ES")
    expect(page.locator("a.visit").first).to_contain_text("Perro, coche")
    expect(page.get_by_role("button", name="Sin revisar")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "es"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("many", [0, 3, 10_000])
def test_everybody_can_review(look: Look, daemon: Daemon, many: int, scheme: str) -> None:
    page = review(look, daemon, many, width=390, scheme=scheme)
    expect(page.locator("a.visit" if many else "#no-events").first).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
