"""Addresses on the page, for those who point to it."""

from __future__ import annotations


def events_link(page: str) -> str:
    """The address of an event without its id at the end; empty without a page.

    Args:
        page: address of the page; empty for none.
    """
    return f"{page.rstrip('/')}/events/" if page else ""


def event_link(page: str, event_id: str) -> str:
    """The address of an event on the page; empty without a page."""
    return f"{events_link(page)}{event_id}" if page else ""
