"""When a change of the settings takes effect: each section says it, and it is so."""

from __future__ import annotations

import typing

import msgspec
import pytest

from pi_detector.config.changes import (
    RELOADS,
    at_reload,
    at_restart,
    masks_of_view,
    masks_to_go,
    parts_changed,
)
from pi_detector.config.outputs import OutputSettings
from pi_detector.config.section import Part, Reload, Section
from pi_detector.config.settings import PrivacySettings, Settings, SourceSettings
from pi_detector.sinks.base import Sink
from pi_detector.sinks.registry import make_sinks, make_socket_sink

FIELDS = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def section_of(name: str) -> type[Section]:
    kind = FIELDS[name]
    return typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else kind


def changed(name: str) -> Settings:
    """Settings in which a section is another one, be that valid or not."""
    kind = section_of(name)
    first = msgspec.structs.fields(kind)[0].name
    section = msgspec.structs.replace(kind(), **{first: object()})
    value = section if FIELDS[name] is kind else {"new": section}
    return msgspec.structs.replace(Settings(), **{name: value})


def of_class(reload: Reload) -> list[str]:
    return [name for name, each in RELOADS.items() if each == reload]


def test_the_table_of_plugins_alone_is_no_section() -> None:
    assert set(FIELDS) - set(RELOADS) == {"plugins"}


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "plugins"])
def test_each_section_says_when_a_change_takes_effect(name: str) -> None:
    assert vars(section_of(name)).get("RELOAD") in typing.get_args(Reload)
    assert RELOADS[name] == section_of(name).RELOAD


@pytest.mark.parametrize("name", of_class("live"))
def test_a_part_of_the_machine_is_made_from_each_live_section(name: str) -> None:
    parts = parts_changed(Settings(), changed(name))
    assert parts
    assert parts <= set(typing.get_args(Part))


@pytest.mark.parametrize("name", [*of_class("sinks"), *of_class("restart")])
def test_no_part_of_the_machine_is_made_from_the_others(name: str) -> None:
    assert parts_changed(Settings(), changed(name)) == set()


@pytest.mark.parametrize("name", of_class("restart"))
def test_sections_that_take_a_restart_stay_and_are_named(name: str) -> None:
    new = changed(name)
    assert at_reload(Settings(), new) == Settings()
    (setting,) = at_restart(Settings(), new)
    assert setting.partition(".")[0] == name


@pytest.mark.parametrize("name", [*of_class("live"), *of_class("sinks")])
def test_all_others_are_taken_at_a_reload(name: str) -> None:
    new = changed(name)
    assert at_reload(Settings(), new) == new
    assert at_restart(Settings(), new) == []


MASK = PrivacySettings(polygon=((0, 0), (0.5, 0), (0, 1)))
OTHER_MASK = PrivacySettings(polygon=((0.5, 0), (1, 0), (1, 1)))
VIEWS = {
    "uri": "v4l2:/dev/video2",
    "width": 1280,
    "height": 720,
    "rotate": 180,
    "hflip": True,
    "vflip": True,
    "crop": (0, 0, 0.5, 1),
    "sensor_mode": (1640, 1232),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_was_hidden_stays_so_until_the_new_view_comes(name: str) -> None:
    held = {"window": MASK, "door": MASK}
    old = Settings(privacy=held)
    masks = {"window": OTHER_MASK, "door": MASK, "new": MASK}
    wanted = Settings(source=SourceSettings(**{name: VIEWS[name]}), privacy=masks)
    assert masks_of_view(held, old, wanted) == held
    assert masks_to_go(held, wanted) == ["privacy.window"]
    back = Settings(privacy=masks)
    assert masks_of_view(held, old, back) == masks
    assert masks_to_go(masks, back) == []


@pytest.mark.parametrize("setting", [{"fps": 5}, {"loop": True}, {"controls": {"gain": 3}}])
def test_a_change_that_leaves_the_view_as_it_is_holds_no_mask(setting: dict) -> None:
    wanted = Settings(source=SourceSettings(**setting))
    assert masks_of_view({"window": MASK}, Settings(), wanted) == {}


# All sinks of the section; of each setting another value, and the sinks that are made from it.
OUTPUT = OutputSettings(snapshots="s", video="v.mp4", log="l", socket="k")
OTHERS: dict[str, tuple[object, set[str]]] = {
    "stdout": ("vision_msgs", {"stdout"}),
    "socket": ("k2", {"socket"}),
    "socket_format": ("vision_msgs", {"socket"}),
    "empty_frames": (False, {"stdout", "socket"}),
    "snapshots": ("s2", {"snapshots"}),
    "snapshot_interval_s": (2.0, {"snapshots"}),
    "snapshot_keep": (7, {"snapshots"}),
    "snapshot_width": (320, {"snapshots"}),
    "video": ("v2.mp4", {"video"}),
    "log": ("l2", {"log"}),
    "log_mb": (7, {"log"}),
    "log_mb_per_day": (7, {"log"}),
    "log_detections": (True, {"log"}),
    "log_compress": (False, {"log"}),
}


def setups(output: OutputSettings) -> dict[str, object]:
    """What each sink is made from."""
    sinks: list[Sink | None] = [*make_sinks(output), make_socket_sink(output)]
    return {sink.name: sink.setup for sink in sinks if sink is not None}  # type: ignore[attr-defined]


def test_each_setting_of_the_outputs_is_tried() -> None:
    assert set(OTHERS) == set(OutputSettings.__struct_fields__)


@pytest.mark.parametrize("name", OTHERS)
def test_a_sink_is_made_again_for_its_own_settings_alone(name: str) -> None:
    value, expected = OTHERS[name]
    before, after = setups(OUTPUT), setups(msgspec.structs.replace(OUTPUT, **{name: value}))
    assert {sink for sink in before if before[sink] != after[sink]} == expected
    assert setups(OUTPUT) == before
