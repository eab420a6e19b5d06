"""Deadlines that contain each other: who waits for whom."""

from __future__ import annotations

import re

from where import CHECKOUT

from pi_detector.config.settings import SourceSettings
from pi_detector.daemon import service
from pi_detector.sources import isolated, isolated_process, supervised

UNIT = CHECKOUT / "systemd" / "pi-detector.service"
LONGEST_OPENING_S = 15.0  # of a Pi camera, once its process runs


def test_a_slow_start_of_the_decoder_leaves_time_to_open_the_source() -> None:
    start_s = isolated_process._START_TIMEOUT_S
    assert start_s >= 30, "a small board with a cold card, and other load"
    assert start_s + LONGEST_OPENING_S <= isolated._OPEN_LIMIT_S


def test_a_source_that_opens_within_its_deadline_is_not_taken_for_stuck() -> None:
    assert isolated._OPEN_LIMIT_S <= supervised.OPEN_LIMIT_S


def test_systemd_waits_for_longer_than_a_source_may_take_to_open() -> None:
    found = re.search(r"^TimeoutStartSec=(\d+)s$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    longest_s = supervised.OPEN_LIMIT_S + SourceSettings().read_timeout_s + service._GRACE_S
    assert longest_s < int(found[1])
