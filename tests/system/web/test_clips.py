"""What the page shows of the clips of an event, while they are written and afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Daemon, Look
from playwright.sync_api import Route, expect

expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(600)

EVENT: dict[str, Any] = {
    "id": "shared-1", "label": "person", "score": 0.8, "started": "2026-11-24T02:03:04Z",
    "duration_s": 3.0, "zones": [], "going_on": False, "recording": True, "stationary": False,
    "interrupted": False, "kept": False, "thumbnail": None, "picture": None, "clips": [],
}  # fmt: skip
CLIP = {"url": "/media/2026/11/24/other.mp4", "duration_s": 40.0, "offset_s": 31.2}


def test_a_clip_is_awaited_and_then_shown_from_where_its_event_begins(
    look: Look, daemon: Daemon
) -> None:
    page = look(daemon.url)
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        written = sum("id=shared-1" in url for url in asked) > 1
        event = {**EVENT, "recording": False, "clips": [CLIP]} if written else EVENT
        found = {"recorded": True, "events": [event], "labels": ["person"], "next": None}
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/api/events?*", answer)
    page.goto(f"{daemon.url}/#events")
    page.reload()
    page.locator("#gallery li").first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("is being written")
    expect(dialog.locator("video")).to_have_attribute("src", f"{CLIP['url']}#t=30.2")
    expect(dialog).not_to_contain_text("is being written")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_link_of_a_message_opens_its_event(look: Look, daemon: Daemon) -> None:
    page = look(daemon.url)

    def answer(route: Route) -> None:
        events = [{**EVENT, "recording": False}] if "id=shared-1" in route.request.url else []
        found = {"recorded": True, "events": events, "labels": ["person"], "next": None}
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/api/events?*", answer)
    page.goto(f"{daemon.url}/#event=shared-1")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("shared-1")
    page.keyboard.press("Escape")
    expect(page.locator("#page-events")).to_be_visible()
    page.goto(f"{daemon.url}/#event=gone")
    expect(page.locator("#no-events")).to_contain_text("is not here any more")
