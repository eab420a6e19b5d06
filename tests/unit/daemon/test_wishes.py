"""Settings that commands changed."""

from __future__ import annotations

import msgspec

from pi_detector.config.settings import Settings
from pi_detector.daemon.wishes import Wishes

SETTINGS = msgspec.convert(
    {"notify": {"phone": {"urls": ["http://127.0.0.1/"]}}, "motion": {"min_area": 0.01}}, Settings
)


def test_what_nobody_wished_for_stays() -> None:
    assert Wishes().applied(SETTINGS) == SETTINGS


def test_recording_is_on_until_somebody_wishes_otherwise() -> None:
    wishes = Wishes()
    assert wishes.recording()
    wishes.add("recording=off")
    assert not wishes.recording()
    assert wishes.applied(SETTINGS) == SETTINGS
    wishes.add("recording=on")
    assert wishes.recording()


def test_the_last_wish_counts_also_over_other_settings() -> None:
    wishes = Wishes()
    for command in ("min_score=0.5", "min_score=0.6", "motion=on", "notifications=off"):
        wishes.add(command)
    applied = wishes.applied(SETTINGS)
    assert applied.detection.min_score == 0.6
    assert applied.motion.enabled
    assert applied.motion.min_area == 0.01
    assert not applied.notify["phone"].enabled
    assert SETTINGS.notify["phone"].enabled
    wishes.add("notifications=on")
    wishes.add("motion=off")
    assert wishes.applied(SETTINGS).notify == SETTINGS.notify
    assert not wishes.applied(SETTINGS).motion.enabled
