"""`pi-detector doctor` finds what is wrong with the service, under a real systemd."""

from __future__ import annotations

import json

import pytest
from machine import Machine, drop_in, wait_until

UNIT = "pi-detector.service"
SETTINGS = "/etc/pi-detector/config.toml"
GOOD = '[source]\nuri = "demo:"\n[output]\nstdout = "none"\n'
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def running(machine: Machine) -> None:
    machine.write(SETTINGS, GOOD)
    machine.run(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


def doctor(machine: Machine, user: str | None = None) -> dict[str, list[dict[str, str]]]:
    """The findings about the service and the group, by level."""
    command = f"/opt/pi-detector/bin/pi-detector doctor --json --config {SETTINGS}"
    found: dict[str, list[dict[str, str]]] = {"ok": [], "warn": [], "fail": []}
    for check in json.loads(machine.out(command, check=False, user=user))["checks"]:
        if check["what"].startswith(("service", "group")):
            found[check["level"]].append(check)
    return found


def test_a_service_as_it_is_installed(machine: Machine) -> None:
    wait_until(lambda: "active" in machine.show(UNIT, "ActiveState"), PATIENCE_S)
    found = doctor(machine)
    assert [check["what"] for check in found["ok"]] == ["service pi-detector"]
    assert not found["fail"]
    assert {check["what"] for check in found["warn"]} <= {"service memory"}


def test_a_unit_that_was_overridden(machine: Machine) -> None:
    with drop_in(machine, UNIT, "User=root\nNoNewPrivileges=no\nProtectSystem=no"):
        first = doctor(machine)["warn"][0]
    assert "runs as root, may gain privileges, may write outside its folders" in first["finding"]
    assert "90-test.conf" in first["finding"]


def test_a_unit_that_changed_on_disk(machine: Machine) -> None:
    machine.run(f"touch {machine.show(UNIT, 'FragmentPath')}")
    try:
        assert any("daemon-reload" in check["fix"] for check in doctor(machine)["warn"])
    finally:
        machine.run("systemctl daemon-reload")


def test_a_reload_that_was_refused(machine: Machine) -> None:
    machine.write(SETTINGS, GOOD + "[web]\nenbled = true\n")
    machine.run(f"systemctl reload {UNIT}", check=False)
    wait_until(lambda: "refused" in machine.show(UNIT, "StatusText"), PATIENCE_S)
    (found,) = [check for check in doctor(machine)["warn"] if "refused" in check["finding"]]
    assert "enbled" in found["finding"]


def test_a_service_that_failed(machine: Machine) -> None:
    machine.write(SETTINGS, GOOD + "[web]\nenbled = true\n")
    machine.run(f"systemctl restart {UNIT}", check=False)
    wait_until(lambda: machine.show(UNIT, "ActiveState") == "failed", PATIENCE_S)
    (found,) = doctor(machine)["fail"]
    assert "exit-code" in found["finding"]
    assert f"journalctl -u {UNIT}" in found["fix"]


def test_a_user_outside_of_the_group(machine: Machine) -> None:
    found = doctor(machine, user="nobody")
    (group,) = [check for check in found["warn"] if check["what"] == "group"]
    assert "usermod -aG pi-detector" in group["fix"]
