"""Checks of messages: whether Apprise is there, and whether the service may reach their servers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from pi_detector.cli.findings import Finding, fail, ok, warn
from pi_detector.config.notify import WEBHOOKS
from pi_detector.config.settings import Settings
from pi_detector.util.installation import how_to_install
from pi_detector.util.sandbox import how_to_allow, may_be_far, unit_forbids_internet
from pi_detector.util.uri import parse_network_uri, split_uri


def notify_findings(settings: Settings) -> Iterator[Finding]:
    """Check the rules of messages; nothing is sent.

    Args:
        settings: secrets may stand for themselves.
    """
    rules = {name: rule for name, rule in settings.notify.items() if rule.enabled}
    if not rules:
        yield ok("messages", "off")
        return
    by_apprise = any(needs_apprise(url) for rule in rules.values() for url in rule.urls)
    if by_apprise and importlib.util.find_spec("apprise") is None:
        yield fail("messages", "Apprise is not installed", how_to_install("notify"))
    else:
        tests = ", ".join(f"pi-detector notify test {name}" for name in rules)
        yield ok("messages", f"by {len(rules)} rules; try them: {tests}")
    far = [name for name, rule in rules.items() if any(goes_far(url) for url in rule.urls)]
    if far and unit_forbids_internet():
        yield warn(
            "messages",
            f"the service may not reach the internet, where those of {', '.join(far)} go",
            how_to_allow(),
        )


def needs_apprise(url: str) -> bool:
    """Whether a service is one of Apprise's; of a URL that is a secret that is not known."""
    return not url.startswith("${") and split_uri(url)[0] not in WEBHOOKS


def goes_far(url: str) -> bool:
    """Whether a service may be in the internet: where a URL has no host, most likely."""
    parsed = parse_network_uri(url)
    if parsed is None or "${" in parsed.host:
        return True
    if parsed.scheme not in WEBHOOKS and "." not in parsed.host and ":" not in parsed.host:
        return parsed.host != "localhost"  # a token or a topic, of a service that has one server
    return may_be_far(parsed.host)
