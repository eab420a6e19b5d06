"""The benchmark's drawn scenes, in short: the tracker must stay far better than plain matching."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import motmetrics
import numpy as np
import pytest
from where import CHECKOUT

from pi_detector.config.events import TrackingSettings

sys.path.insert(0, str(CHECKOUT / "benchmarks"))
from tracking import PlainMatcher, Product, accumulated, scene


@pytest.mark.parametrize(("fps", "drops", "least"), [(10, False, 0.85), (5, True, 0.6)])
def test_identities_are_kept(fps: int, drops: bool, least: float) -> None:
    scenes = [list(scene(np.random.default_rng(seed), fps, drops)) for seed in range(3)]
    settings = TrackingSettings()
    host = motmetrics.metrics.create()

    def overall(made: Callable[[], Product | PlainMatcher]) -> Any:
        accumulators = [accumulated(made(), frames) for frames in scenes]
        table = host.compute_many(accumulators, metrics=["idf1", "mota"], generate_overall=True)
        return table.loc["OVERALL"]

    plain, tracker = (
        overall(lambda: PlainMatcher(settings.lost_s)),
        overall(lambda: Product(settings)),
    )
    assert tracker.idf1 > least
    assert tracker.idf1 > plain.idf1 + 0.3
    assert tracker.mota > plain.mota
