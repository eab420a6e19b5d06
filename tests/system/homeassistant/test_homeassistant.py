"""What a user of Home Assistant sees of a detector, over all that may happen to the three of them.

The demonstration is a photograph: the persons in it stay, and a state that changes is wrong.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from conftest import NAME, Detector, remove
from homeassistant import HomeAssistant
from real_broker import Broker, wait_for

Sees = Callable[..., None]

PERSON = f"binary_sensor.{NAME}_person"
COUNT = f"sensor.{NAME}_person_count"
GARDEN = f"binary_sensor.{NAME}_garden"
# Of the machine: this one may have no sensor for them.
UNKNOWN = {f"sensor.{NAME}_temperature", f"binary_sensor.{NAME}_throttling"}
ALL_IS_WELL = {
    f"binary_sensor__{NAME}_connection": "on",
    f"binary_sensor__{NAME}_camera": "on",
    f"binary_sensor__{NAME}_person": "on",
    f"binary_sensor__{NAME}_garden": "on",
    f"binary_sensor__{NAME}_garden_person": "on",
    f"binary_sensor__{NAME}_bus": None,
    f"switch__{NAME}_detection": "on",
    f"sensor__{NAME}_gate_in": "0",
}
IS_GONE = {
    f"binary_sensor__{NAME}_connection": "off",
    f"binary_sensor__{NAME}_person": "unavailable",
}


def own(home: HomeAssistant) -> dict[str, str]:
    """The states of the detector's entities."""
    return {
        entity: state["state"]
        for entity, state in home.states().items()
        if re.match(rf"[a-z_]+\.{NAME}_", entity)
    }


def since(home: HomeAssistant, entity: str) -> str:
    return str(home.states()[entity]["last_changed"])


def has_settled(home: HomeAssistant) -> bool:
    """Whether the detector has found by now whom it will find."""
    changed = datetime.fromisoformat(since(home, COUNT))
    return datetime.now(UTC) - changed > timedelta(seconds=8)


def complaints(home: HomeAssistant) -> list[str]:
    """What Home Assistant has to say about messages.

    That it lost the broker is no complaint, nor what it says, for each entity, of its own deletion
    of a device.
    """
    about = re.compile(r"(WARNING|ERROR).*(mqtt|discovery|template)", re.IGNORECASE)
    own = re.compile(r"[Cc]onnect|No device components to cleanup")
    return [line for line in home.log().splitlines() if about.search(line) and not own.search(line)]


def test_a_detector_appears_with_all_its_states(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    buttons = {f"button.{NAME}_reload_settings", f"button.{NAME}_take_a_picture"}

    def unknown() -> set[str]:
        # Which labels beside people are seen in the demonstration depends on the model.
        return {
            entity
            for entity, state in own(home).items()
            if state == "unknown" and ("person" in entity or not entity.endswith("_best_view"))
        }

    nothing_came = {f"image.{NAME}_picture", f"number.{NAME}_lowest_score"}
    wait_for(lambda: unknown() <= UNKNOWN | buttons | nothing_came, unknown)
    assert int(home.states()[COUNT]["state"]) >= 1
    assert home.entities() == sorted(own(home))
    assert complaints(home) == []
    assert "refuses" not in detector.log()
    assert "no messages arrive" not in detector.log()


def test_a_reload_changes_nothing_that_did_not_change(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    wait_for(lambda: has_settled(home))
    before = {entity: since(home, entity) for entity in (PERSON, COUNT, GARDEN)}
    detector.reload("garden", "drive", "roof")
    sees(**ALL_IS_WELL, **{f"binary_sensor__{NAME}_roof": "on"})
    assert {entity: since(home, entity) for entity in before} == before


def test_a_zone_that_is_removed_disappears(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    drive = f"binary_sensor__{NAME}_drive"
    sees(**ALL_IS_WELL, **{drive: "on"})
    detector.reload("garden")
    sees(**ALL_IS_WELL, **{drive: None})
    assert not any("drive" in entity for entity in home.entities())
    # Also one that is removed while the detector does not run.
    detector.stop()
    detector.write("yard")
    detector.start()
    garden = f"binary_sensor__{NAME}_garden"
    gone = {garden: None, f"{garden}_person": None}
    yard = f"binary_sensor__{NAME}_yard"
    sees(**(ALL_IS_WELL | gone | {yard: "on", f"{yard}_person": "on"}))
    assert complaints(home) == []


@pytest.mark.parametrize("retain", [True, False])
def test_all_of_them_survive_a_restart_of_each(
    home: HomeAssistant, broker: Broker, detector: Detector, sees: Sees, retain: bool
) -> None:
    sees(**ALL_IS_WELL)
    detector.reload("garden", retain=retain)
    sees(**ALL_IS_WELL, **{f"binary_sensor__{NAME}_drive": None})
    entities = home.entities()

    broker.stop(signal.SIGTERM)
    sees(**{f"binary_sensor__{NAME}_person": "unavailable"})
    broker.start()
    sees(**ALL_IS_WELL)

    detector.stop()
    sees(**IS_GONE)
    detector.start()
    sees(**ALL_IS_WELL)

    home.stop()
    home.start()
    sees(**ALL_IS_WELL)
    assert home.entities() == entities


def test_a_device_that_is_deleted_comes_back_when_home_assistant_connects(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    home.delete(NAME)
    sees(**dict.fromkeys(ALL_IS_WELL))
    home.connect_again()
    sees(**ALL_IS_WELL)


def test_the_switch_holds_what_was_wished_last(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    switch = f"switch.{NAME}_detection"
    for service in ("turn_off", "turn_on", "turn_off"):
        home.call("switch", service, entity_id=switch)
    detector.program.waits_for(lambda: detector.log().count("command: pause") == 2)
    sees(**{f"switch__{NAME}_detection": "off", f"binary_sensor__{NAME}_person": "off"})
    home.call("switch", "turn_on", entity_id=switch)
    sees(**ALL_IS_WELL)


def test_commands_change_settings(home: HomeAssistant, detector: Detector, sees: Sees) -> None:
    gate, number = f"switch.{NAME}_motion_gate", f"number.{NAME}_lowest_score"
    sees(**ALL_IS_WELL, **{f"switch__{NAME}_motion_gate": "off"})
    home.call("switch", "turn_on", entity_id=gate)
    sees(**{f"switch__{NAME}_motion_gate": "on"})
    recording = f"switch.{NAME}_recording"
    sees(**{f"switch__{NAME}_recording": "on"})
    home.call("switch", "turn_off", entity_id=recording)
    sees(**{f"switch__{NAME}_recording": "off"})
    home.call("switch", "turn_on", entity_id=recording)
    sees(**{f"switch__{NAME}_recording": "on"})
    home.call("number", "set_value", entity_id=number, value=0.99)
    sees(**{f"number__{NAME}_lowest_score": "0.99"})
    home.call("number", "set_value", entity_id=number, value=0.4)
    sees(**{f"number__{NAME}_lowest_score": "0.4", f"switch__{NAME}_motion_gate": "on"})
    assert complaints(home) == []


def test_the_camera_and_the_events_are_there(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    wait_for(lambda: home.picture(f"camera.{NAME}_live")[:2] == b"\xff\xd8")
    wait_for(
        lambda: home.states()[f"event.{NAME}_event"]["state"] not in ("unknown", "unavailable")
    )
    facts = home.states()[f"event.{NAME}_event"]["attributes"]
    assert facts["event_type"] in ("new", "update", "end")
    assert {"label", "zones", "id", "link", "score"} <= facts.keys()
    assert (
        home.states()[f"sensor.{NAME}_free_disk_space"]["attributes"]["unit_of_measurement"] == "GB"
    )


def test_the_blueprints_run(home: HomeAssistant, detector: Detector, sees: Sees) -> None:
    sees(**ALL_IS_WELL, input_boolean__hall_light="on")
    home.call("switch", "turn_off", entity_id=f"switch.{NAME}_detection")
    sees(input_boolean__hall_light="off")
    before = int(home.states()["counter.visitors"]["state"])
    home.call("switch", "turn_on", entity_id=f"switch.{NAME}_detection")
    sees(**ALL_IS_WELL, input_boolean__hall_light="on")
    wait_for(lambda: int(home.states()["counter.visitors"]["state"]) > before)
    visitor = home.states()["input_text.visitor"]["state"]
    assert visitor == "person garden,drive True"


def test_a_detector_that_is_removed_leaves_nothing(
    home: HomeAssistant, detector: Detector, sees: Sees
) -> None:
    sees(**ALL_IS_WELL)
    detector.stop()
    removed = remove(detector)
    assert removed.returncode == 0, removed.stderr
    sees(**dict.fromkeys(ALL_IS_WELL))
    assert home.entities() == []
    assert complaints(home) == []
