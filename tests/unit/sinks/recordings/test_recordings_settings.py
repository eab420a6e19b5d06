"""Settings of recordings that could not work are refused, with the figures."""

from __future__ import annotations

import pytest

from pi_detector.config.load import load_settings
from pi_detector.errors import ConfigError


def loaded(**changes: object) -> None:
    overrides = [f"recording.{name}={value}" for name, value in changes.items()]
    load_settings(None, {}, ["recording.enabled=true", *overrides])


def test_a_limit_that_holds_no_event_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(max_gb=0.05)
    assert str(refused.value) == (
        "command line: recording.max_gb: 0.05 GB cannot hold one event, which takes up "
        "to 0.23 GB with longest_event_s = 900 and max_kbps = 2000; set it to 0.23 or more, or "
        "lower one of those"
    )
    loaded(max_gb=0.23)
    loaded(max_gb=0.05, longest_event_s=180)
    loaded(max_gb=0.05, max_kbps=400)
    loaded(max_gb=0)
    loaded(max_gb=0.05, enabled="false")


def test_pictures_alone_need_less() -> None:
    loaded(max_gb=0.05, clips="false")
    with pytest.raises(ConfigError, match=r"takes up to 0.002 GB; set it to 0.002 or more$"):
        loaded(max_gb=0.001, clips="false")
