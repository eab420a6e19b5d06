from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest

from pi_detector.config.settings import MotionSettings
from pi_detector.core.frame import ImageArray
from pi_detector.events.motion import Motion, MotionGate

SIDE = 300


class Watch:
    """A gate before a noisy camera."""

    def __init__(self, noise: float = 4, fps: float = 10, **settings: Any) -> None:
        self.gate = MotionGate(MotionSettings(**{"open_s": 1, "heartbeat_s": 10, **settings}))
        self._rng = np.random.default_rng(0)
        # Noise is costly to make: one piece of it is shifted.
        self._noise = self._rng.normal(0, noise, (SIDE, SIDE, 3)).astype(np.float32)
        self._dt_ns = round(1e9 / fps)
        self.ns = 5_000_000_000
        low = self._rng.uniform(60, 190, (20, 20, 3)).astype(np.float32)
        self.scene = cv2.resize(low, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)

    def see(self, scene: ImageArray | None = None) -> Motion:
        picture = self.scene if scene is None else scene
        shift = tuple(self._rng.integers(0, SIDE, 2))
        picture = picture + np.roll(self._noise, shift, axis=(0, 1))
        self.ns += self._dt_ns
        return self.gate.observe(np.clip(picture, 0, 255).astype(np.uint8), self.ns)

    def still(self, seconds: float) -> Counter[str]:
        return Counter(self.see().why for _ in range(round(seconds * 1e9 / self._dt_ns)))

    def with_visitor(self, x: int, width: int = 12, height: int = 30) -> Any:
        picture = self.scene.copy()
        picture[200 : 200 + height, x : x + width] = 20
        return picture


def test_the_first_frame_is_inferred() -> None:
    first = Watch().see()
    assert first.infer
    assert not first.moved


@pytest.mark.parametrize("noise", [0, 2, 8])
def test_a_still_scene_is_inferred_at_its_heartbeat_only(noise: float) -> None:
    watch = Watch(noise)
    watch.see()
    assert watch.still(30) == {"still": 297, "heartbeat": 3}


def test_a_visitor_is_seen_in_the_first_frame_and_the_gate_stays_open_for_a_while() -> None:
    watch = Watch()
    watch.still(5)
    seen = [watch.see(watch.with_visitor(x)) for x in range(20, 200, 6)]
    assert all(motion.why == "motion" and motion.moved for motion in seen)
    assert seen[0].area == pytest.approx(12 * 30 / SIDE**2, rel=0.6)
    after = watch.still(5)
    assert 9 <= after["held"] + after["motion"] <= 12
    assert after["still"] >= 38


def test_what_is_smaller_than_the_least_area_does_not_count() -> None:
    watch = Watch(min_area=0.01)
    watch.still(5)
    assert not any(watch.see(watch.with_visitor(x)).infer for x in range(20, 140, 6))


def test_motion_in_a_mask_does_not_count() -> None:
    watch = Watch(masks={"tree": ((0, 0.6), (1, 0.6), (1, 0.8), (0, 0.8))})
    watch.still(5)
    assert not any(watch.see(watch.with_visitor(x)).infer for x in range(20, 140, 6))


def test_a_sudden_change_of_the_light_is_inferred_once() -> None:
    watch = Watch()
    watch.still(5)
    watch.scene = watch.scene * 0.3
    assert watch.see().why == "scene change"
    assert watch.still(5) == {"still": 50}
    watch.scene = np.repeat(watch.scene.mean(axis=2, keepdims=True) + 90, 3, axis=2)  # IR-cut
    assert watch.see().why == "scene change"
    assert watch.still(5) == {"still": 50}


def test_a_visitor_after_the_change_is_seen() -> None:
    watch = Watch()
    watch.still(5)
    watch.scene = watch.scene * 0.5 + 30
    watch.see()
    watch.still(2)
    assert watch.see(watch.with_visitor(100)).why == "motion"


def test_a_slow_sunset_is_no_motion() -> None:
    watch = Watch()
    watch.still(5)
    why: Counter[str] = Counter()
    for _ in range(600):
        watch.scene = watch.scene * 0.9995
        why[watch.see().why] += 1
    assert why["motion"] == 0


def test_a_parked_car_becomes_background() -> None:
    watch = Watch(history_s=10)
    watch.still(5)
    watch.scene = watch.with_visitor(100, 80, 40)
    assert watch.see().why == "motion"
    watch.still(30)
    assert set(watch.still(20)) <= {"still", "heartbeat"}


def test_it_is_held_open() -> None:
    watch = Watch()
    watch.still(5)
    watch.gate.hold(watch.ns + 2_000_000_000)
    why = watch.still(4)
    assert 19 <= why["held"] <= 20
    assert why["still"] >= 19


def test_it_is_not_held_open_for_ever_where_nothing_moves() -> None:
    watch = Watch(hold_s=3)
    watch.still(5)
    watch.see(watch.with_visitor(100))
    why: Counter[str] = Counter()
    for _ in range(90):
        watch.gate.hold(watch.ns + 200_000_000)
        why[watch.see().why] += 1
    assert 28 <= why["held"] + why["motion"] <= 31
    assert watch.see(watch.with_visitor(100)).why == "motion"


def test_the_first_frame_after_a_reset_is_the_background() -> None:
    watch = Watch()
    watch.still(5)
    watch.gate.reset()
    watch.scene = watch.scene * 0.85
    first = watch.see()
    assert first.infer
    assert not first.moved
    assert watch.still(5) == {"still": 50}


@pytest.mark.parametrize("fps", [1, 5, 30])
def test_it_learns_at_any_frame_rate(fps: float) -> None:
    watch = Watch(fps=fps, history_s=5, open_s=0)
    watch.still(10)
    watch.scene = watch.with_visitor(100, 60, 60)
    assert watch.see().why == "motion"
    watch.still(30)
    assert set(watch.still(9)) <= {"still", "heartbeat"}


def test_regions_are_where_something_moves_in_shares_of_the_frame() -> None:
    watch = Watch()
    watch.gate = MotionGate(MotionSettings(), wants_regions=True)
    for _ in range(20):
        watch.see()
    seen = watch.see(watch.with_visitor(60, width=12, height=30))
    assert seen.moved
    (region,) = seen.regions * SIDE
    assert region == pytest.approx([60, 200, 72, 230], abs=SIDE / 75)


def test_regions_are_found_below_what_opens_the_gate_and_the_largest_comes_first() -> None:
    watch = Watch()
    watch.gate = MotionGate(MotionSettings(min_area=0.01), wants_regions=True)
    for _ in range(20):
        watch.see()
    picture = watch.with_visitor(60, width=8, height=10)
    picture[40:80, 200:220] = 20
    seen = watch.see(picture)
    assert not seen.moved
    sizes = (seen.regions[:, 2:] - seen.regions[:, :2]).prod(axis=1)
    assert len(sizes) == 2
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("corner", [(0, 0), (SIDE - 24, 0), (0, SIDE - 24), (SIDE - 24, SIDE - 24)])
def test_regions_at_the_border_reach_it(corner: tuple[int, int]) -> None:
    watch = Watch()
    watch.gate = MotionGate(MotionSettings(), wants_regions=True)
    for _ in range(20):
        watch.see()
    x, y = corner
    picture = watch.scene.copy()
    picture[y : y + 24, x : x + 24] = 20
    (region,) = watch.see(picture).regions * SIDE
    assert region == pytest.approx([x, y, x + 24, y + 24], abs=SIDE / 75)


def test_noise_gives_few_regions_and_those_who_do_not_ask_get_none() -> None:
    watch = Watch(noise=8)
    watch.gate = MotionGate(MotionSettings(), wants_regions=True)
    watch.still(10)
    assert sum(len(watch.see().regions) for _ in range(100)) <= 5
    other = Watch()
    other.still(2)
    assert len(other.see(other.with_visitor(60)).regions) == 0
