from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.core.looks import Look, TrackedBox
from pi_detector.detector.crops import LEAST_GAIN, MAX_MAGNIFICATION, CropSizes, grid_of
from pi_detector.detector.regions import LookPlanner

HD = (1280, 720)
INPUT = (288, 288)
NOTHING = np.zeros((0, 4), np.float32)


def moving(*boxes: tuple[float, float, float, float], size: tuple[int, int] = HD) -> np.ndarray:
    """Boxes in pixels, in shares of the frame."""
    return (np.array(boxes, np.float64) / ([*size] * 2)).astype(np.float32).reshape(-1, 4)


def at(x: float, y: float, width: float = 20, height: float = 40) -> tuple[float, ...]:
    return (x, y, x + width, y + height)


def holds(look: Look, box: tuple[float, ...]) -> bool:
    x1, y1, x2, y2 = look.xyxy
    return x1 <= box[0] and y1 <= box[1] and box[2] <= x2 and box[3] <= y2


def reasons(looks: tuple[Look, ...]) -> list[str]:
    return [look.reason for look in looks]


shares = st.floats(-0.25, 1.25, width=32)
regions = st.lists(st.tuples(shares, shares, shares, shares), max_size=30)
pixels = st.floats(-3000, 6000, allow_nan=False)
tracks = st.lists(
    st.builds(TrackedBox, st.tuples(pixels, pixels, pixels, pixels), st.booleans(), st.booleans()),
    max_size=20,
)
sizes = st.tuples(st.integers(1, 2600), st.integers(1, 2600))
inputs = st.sampled_from([(288, 288), (224, 224), (300, 300), (320, 192), (192, 320)])


@settings(max_examples=150, deadline=None)
@given(size=sizes, rows=inputs, steps=st.lists(st.tuples(regions, tracks), min_size=1, max_size=4),
       budget=st.integers(1, 8))  # fmt: skip
def test_every_look_lies_in_the_frame_has_the_models_aspect_and_fits_the_budget(
    size: tuple[int, int], rows: tuple[int, int], steps: list, budget: int
) -> None:
    planner, again = LookPlanner(rows), LookPlanner(rows)
    aspect = rows[1] / rows[0]
    for boxes, followed in steps:
        found = np.array(boxes, np.float32).reshape(-1, 4)
        looks = planner.plan(size, found, followed, budget)
        assert looks == again.plan(size, found, followed, budget)  # the same at every run
        assert 1 <= len(looks) <= budget
        assert len(set(looks)) == len(looks)
        for look in looks:
            x1, y1, x2, y2 = look.xyxy
            assert 0 <= x1 < x2 <= size[0]
            assert 0 <= y1 < y2 <= size[1]
            if look.reason == "whole":
                assert look.is_whole(*size)
                continue
            assert look.height * MAX_MAGNIFICATION >= rows[0] - 1e-9
            assert abs(look.width - look.height * aspect) <= 1
            # It shows more than the whole frame does, which is scaled in both directions.
            gain = np.sqrt(size[0] * size[1] / (look.width * look.height))
            assert gain >= LEAST_GAIN * 0.98


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1240), st.integers(0, 660), st.integers(4, 40), st.integers(4, 60))
def test_what_moves_lies_in_a_crop_with_a_margin(x: int, y: int, width: int, height: int) -> None:
    box = (x, y, x + width, y + height)
    looks = LookPlanner(INPUT).plan(HD, moving(box), (), budget=2)
    assert reasons(looks) == ["whole", "motion"]
    crop = looks[1]
    assert crop.height == round(288 / MAX_MAGNIFICATION)
    grown = (max(0, x - 10), max(0, y - 10), min(1280, x + width + 10), min(720, y + height + 10))
    assert holds(crop, grown)


def test_neighbours_share_a_crop_and_others_do_not() -> None:
    near = [at(600, 300), at(660, 320)]
    looks = LookPlanner(INPUT).plan(HD, moving(*near, at(100, 100)), (), budget=4)
    crops = [look for look in looks if look.reason == "motion"]
    assert len(crops) == 2
    assert any(all(holds(crop, box) for box in near) for crop in crops)


def test_more_regions_than_looks_are_all_looked_at_in_turns() -> None:
    boxes = [at(x, y) for x in (50, 420, 800, 1180) for y in (40, 340, 640)]
    planner = LookPlanner(INPUT)
    seen: set[int] = set()
    for _ in range(14):
        looks = planner.plan(HD, moving(*boxes), (), budget=2)
        seen |= {i for i, box in enumerate(boxes) for look in looks[1:] if holds(look, box)}
        if looks[0].reason != "whole":
            seen |= {i for i, box in enumerate(boxes) if holds(looks[0], box)}
    assert seen == set(range(len(boxes)))


def test_the_whole_frame_keeps_its_cadence_whatever_moves() -> None:
    planner = LookPlanner(INPUT, whole_every=3)
    boxes = moving(at(50, 50), at(1200, 50), at(50, 650), at(1200, 650))
    turns = [reasons(planner.plan(HD, boxes, (), budget=1))[0] == "whole" for _ in range(9)]
    assert turns == [True, False, False] * 3


def test_what_is_too_large_for_a_crop_asks_for_the_whole_frame() -> None:
    planner = LookPlanner(INPUT, whole_every=100)
    large = moving((100, 20, 900, 700))
    planner.plan(HD, large, (), budget=2)
    assert reasons(planner.plan(HD, large, (), budget=2)) == ["whole", "rest"]


def test_on_a_still_scene_one_tile_of_the_rest_is_looked_at_until_all_was() -> None:
    planner = LookPlanner(INPUT)
    looks = [planner.plan(HD, NOTHING, (), budget=4) for _ in range(24)]
    assert all(reasons(each).count("rest") == 1 for each in looks)
    covered = np.zeros((720, 1280), bool)
    for x1, y1, x2, y2 in (look.xyxy for each in looks for look in each if look.reason == "rest"):
        covered[y1:y2, x1:x2] = True
    assert covered.all()


@pytest.mark.parametrize(
    ("track", "wanted"),
    [
        (TrackedBox(at(600, 300), unseen=False, stationary=False), True),
        (TrackedBox(at(600, 300), unseen=True, stationary=False), True),
        (TrackedBox((300, 100, 500, 380), unseen=True, stationary=False), True),
        (TrackedBox((300, 100, 500, 380), unseen=False, stationary=False), False),
        (TrackedBox((2000, 300, 2020, 340), unseen=True, stationary=False), False),
        (TrackedBox((600, 300, 590, 340), unseen=True, stationary=False), False),
    ],
    ids=["small", "small and lost", "lost", "large and seen", "outside", "inside out"],
)
def test_tracks_that_are_small_or_about_to_be_lost_ask(track: TrackedBox, wanted: bool) -> None:
    looks = LookPlanner(INPUT).plan(HD, NOTHING, [track], budget=4)
    crops = [look for look in looks if look.reason == "track"]
    assert len(crops) == wanted
    assert all(holds(look, track.xyxy) for look in crops)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 4000), (4000, 1), (150, 150), (191, 2000), (240, 200)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_a_frame_that_holds_no_useful_crop_is_looked_at_as_a_whole(size: tuple[int, int]) -> None:
    assert CropSizes.of(size, INPUT) is None
    looks = LookPlanner(INPUT).plan(size, moving((0, 0, *size), size=size), (), budget=4)
    assert looks == (Look.whole(*size),)


def test_a_portrait_is_looked_at_in_square_crops() -> None:
    looks = LookPlanner(INPUT).plan((720, 1280), moving(at(30, 1200), size=(720, 1280)), (), 2)
    assert holds(looks[1], at(30, 1200))
    assert looks[1].width == looks[1].height == 192


@pytest.mark.parametrize("box", [at(0, 0), at(1260, 680), at(-10, 700), at(1270, -20, 40, 60)])
def test_a_region_at_the_border_has_its_crop_inside_the_frame(box: tuple[float, ...]) -> None:
    looks = LookPlanner(INPUT).plan(HD, moving(box), (), budget=2)
    assert looks[1].reason == "motion"
    x1, y1, x2, y2 = looks[1].xyxy
    assert (x2 - x1, y2 - y1) == (192, 192)
    assert min(x1, y1) >= 0
    assert x2 <= 1280
    assert y2 <= 720


def test_another_size_of_frames_starts_over() -> None:
    planner = LookPlanner(INPUT, whole_every=50)
    for _ in range(3):
        planner.plan(HD, NOTHING, (), budget=1)
    assert reasons(planner.plan((640, 480), NOTHING, (), budget=1)) == ["whole"]


@settings(max_examples=60, deadline=None)
@given(size=sizes, columns=st.integers(1, 4), rows=st.integers(1, 4))
def test_the_tiles_of_a_still_cover_it_and_overlap(
    size: tuple[int, int], columns: int, rows: int
) -> None:
    whole, *tiles = grid_of(size, columns, rows)
    assert whole.is_whole(*size)
    assert len(tiles) <= columns * rows
    if tiles:
        covered = np.zeros((size[1], size[0]), bool)
        for x1, y1, x2, y2 in (tile.xyxy for tile in tiles):
            assert 0 <= x1 < x2 <= size[0]
            assert 0 <= y1 < y2 <= size[1]
            covered[y1:y2, x1:x2] = True
        assert covered.all()
