"""The view of one event: its clip, while it is written and afterwards, and what is done with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Daemon, Look, wait_for
from playwright.sync_api import Page, Route, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)

EVENT: dict[str, Any] = {
    "id": "shared-1", "label": "person", "score": 0.8, "started": "2026-11-24T02:03:04Z",
    "duration_s": 3.0, "zones": ["door"], "going_on": False, "recording": True,
    "stationary": False, "interrupted": False, "kept": False, "thumbnail": None, "picture": None,
    "clips": [], "source": "demo", "frame": {"width": 640, "height": 480}, "reviewed": False,
    "best_box": [0.1, 0.2, 0.4, 0.9], "best_at": "2026-11-24T02:03:05Z", "clean": None,
    "track": [[0, 0.2, 0.9], [1, 0.3, 0.8], [2, 0.5, 0.85]], "older": None, "newer": None,
    "transitions": [{"kind": "entered", "name": "door", "time": "2026-11-24T02:03:05Z"}],
}  # fmt: skip
CLIP = {"url": "/media/2026/11/24/other.mp4", "duration_s": 40.0, "offset_s": 31.2}


def recorded_ids(page: Page) -> list[str]:
    """The ids of the events that are recorded as a whole, the latest first."""
    found = page.evaluate("fetch('/api/events').then((answer) => answer.json())")
    return [
        e["id"] for e in found["events"] if e["thumbnail"] and not e["recording"] and e["clips"]
    ]


@pytest.fixture
def recorded(look: Look, daemon: Daemon) -> Page:
    """A page of a detector that has recorded two events."""
    page = look(daemon.url)
    wait_for(lambda: len(recorded_ids(page)) > 1)
    return page


def answer_with(page: Page, events: list[dict[str, Any]]) -> list[str]:
    """Answer requests for the event with these, one after another. Returns what was asked."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.method == "GET":
            asked.append(route.request.url)
        event = events[min(len(asked), len(events)) - 1]
        route.fulfill(body=json.dumps(event), content_type="application/json")

    page.route("**/api/v1/events/shared-1", answer)
    return asked


def test_a_clip_is_awaited_and_then_shown_from_where_its_event_begins(
    look: Look, daemon: Daemon
) -> None:
    page = look(daemon.url)
    answer_with(page, [EVENT, {**EVENT, "recording": False, "clips": [CLIP]}])
    page.goto(f"{daemon.url}/events/shared-1")
    expect(page.locator("#event-state")).to_contain_text("is being written")
    expect(page.locator("#event-media video")).to_have_attribute("src", f"{CLIP['url']}#t=30.2")
    expect(page.locator("#event-state")).to_be_hidden()
    expect(page.locator("#event-steps")).to_contain_text("Entered door")


def test_links_of_older_versions_still_lead_to_their_event(look: Look, daemon: Daemon) -> None:
    page = look(daemon.url)
    answer_with(page, [{**EVENT, "recording": False}])
    page.goto(f"{daemon.url}/#event=shared-1")
    expect(page).to_have_url(f"{daemon.url}/events/shared-1")
    expect(page.locator("#event-facts")).to_contain_text("shared-1")
    page.goto(f"{daemon.url}/events/gone")
    expect(page.locator("#event-missing")).to_contain_text("not here any more")


def test_a_recorded_clip_plays_and_back_leads_to_the_list(recorded: Page, daemon: Daemon) -> None:
    page = recorded
    page.get_by_role("link", name="Review", exact=True).click()
    page.locator("a.visit").last.click()
    expect(page.locator("#event-title")).not_to_be_empty()
    page.goto(f"{daemon.url}/events/{recorded_ids(page)[0]}")
    wait_for(
        lambda: page.evaluate("document.querySelector('#event-media video')?.currentTime > 0.2")
    )
    page.get_by_role("button", name="Best frame").click()
    expect(page.locator("#event-media svg.way rect.line")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

    page.get_by_role("link", name="Review").first.click()
    expect(page).to_have_url(f"{daemon.url}/review")
    page.go_back()
    expect(page.locator("#page-event")).to_be_visible()


def test_an_event_is_kept_downloaded_and_deleted_unless_that_is_undone(
    recorded: Page, daemon: Daemon
) -> None:
    page = recorded
    event_id = recorded_ids(page)[-1]
    known = f"fetch('/api/events/{event_id}').then((answer) => answer.status)"
    page.goto(f"{daemon.url}/events/{event_id}")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Kept")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("fetch(location.pathname.replace('/', '/api/v1/')).then((a) => a.json())")[
        "kept"
    ]
    with page.expect_download() as download:
        page.locator("#event-download").click()
    assert download.value.suggested_filename.endswith(".mp4")

    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#toast")).to_contain_text("Event deleted")
    page.get_by_role("button", name="Undo").last.click()
    expect(page).to_have_url(f"{daemon.url}/events/{event_id}")
    assert page.evaluate(known) == 200

    page.get_by_role("button", name="Delete").click()
    wait_for(lambda: page.evaluate(known) == 404)
