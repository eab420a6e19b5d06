"""The udev rule: a camera with settings of its own starts its instance.

A container has neither cameras nor udevd: ``udevadm test`` runs the rules over a device that
another rule makes look like a camera. The rule's own condition on the subsystem is taken out.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from machine import Machine

RULES = "/usr/local/lib/udev/rules.d/70-pi-detector.rules"
SERIAL = "046d_HD-Pro.Webcam_C920_A1B2"


@pytest.fixture
def wanted(machine: Machine):
    """The units that systemd would start when a camera with this serial is plugged in."""

    def plug(serial: str, capabilities: str = ":capture:", settings: str = "") -> list[str]:
        rules = machine.read(RULES)
        subsystem = 'SUBSYSTEM!="video4linux", GOTO="pi_detector_end"\n'
        index = 'ATTR{index}!="0", GOTO="pi_detector_end"\n'
        assert subsystem in rules
        assert index in rules
        camera = (
            f'KERNEL=="null", ENV{{ID_SERIAL}}="{serial}", '
            f'ENV{{ID_V4L_CAPABILITIES}}="{capabilities}"\n'
        )
        machine.write(
            "/etc/udev/rules.d/70-pi-detector.rules",
            camera + rules.replace(subsystem, "").replace(index, ""),
        )
        if settings:
            machine.write(f"/etc/pi-detector/{settings}.toml", '[source]\nuri = "demo:"\n')
        told = machine.run("udevadm test /sys/class/mem/null 2>&1").stdout
        return [
            unit
            for line in told.splitlines()
            if line.strip().startswith("SYSTEMD_WANTS=")
            for unit in line.partition("=")[2].split()
        ]

    yield plug
    machine.run("rm -f /etc/udev/rules.d/70-pi-detector.rules /etc/pi-detector/046d*")


def test_a_camera_with_settings(wanted) -> None:
    assert wanted(SERIAL, settings=SERIAL) == [f"pi-detector@{SERIAL}.service"]


def test_a_camera_without_settings(wanted) -> None:
    assert wanted(SERIAL) == []


def test_the_node_of_its_metadata(wanted) -> None:
    assert wanted(SERIAL, capabilities=":", settings=SERIAL) == []


@pytest.mark.parametrize(
    "serial", ["", "046d_C920+1", "046d_C920@1", "046d/../config", "../config"]
)
def test_a_serial_that_would_need_escapes(wanted, serial: str) -> None:
    assert wanted(serial, settings="" if "/" in serial else serial) == []


def test_the_instance_of_a_serial_starts(wanted, machine: Machine) -> None:
    (unit,) = wanted(SERIAL, settings=SERIAL)
    machine.run(f"systemctl start {unit}")
    assert machine.show(unit, "ActiveState") == "active"
    machine.run(f"systemctl stop {unit}")


def test_the_rules_have_no_mistakes(machine: Machine) -> None:
    if "verify" not in machine.run("udevadm --help").stdout:
        # bookworm's cannot check: what it complains about when it reads them.
        told = machine.run("udevadm test /sys/class/mem/null 2>&1").stdout
        assert Path(RULES).name in told
        assert [line for line in told.splitlines() if f"{Path(RULES).name}:" in line] == []
        return
    machine.run(f"udevadm verify {RULES}")
