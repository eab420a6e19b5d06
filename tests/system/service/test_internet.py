"""The internet, allowed by a drop-in that a script writes, and forbidden again."""

from __future__ import annotations

import pytest
from machine import Machine
from probing import PROBE, prepared, probed

UNIT = "pi-detector.service"
SCRIPT = "/checkout/systemd/allow-internet.sh"
DROP_INS = "/etc/systemd/system/pi-detector*.service.d/30-internet.conf"
NEAR = {"127.0.0.1", "192.168.77.1", "10.77.0.1"}
FAR = {"9.9.9.9", "203.0.113.5"}


def reached(machine: Machine) -> set[str]:
    """The addresses that an instance of the service may send to."""
    with prepared(machine):
        sent = probed(machine)["send"]
    return {address for address, error in sent.items() if error != "EPERM"}


@pytest.fixture(autouse=True)
def _forbidden_again(machine: Machine) -> object:
    yield
    machine.run(f"{SCRIPT} --forbid", check=False)


def test_it_is_allowed_and_forbidden(machine: Machine) -> None:
    assert reached(machine) == NEAR
    pid = machine.main_pid(UNIT)

    said = machine.run(SCRIPT).stderr
    assert "the service reaches the internet" in said
    assert reached(machine) == NEAR | FAR
    assert machine.main_pid(UNIT) not in {0, pid}, "the service runs with it"
    verified = machine.run(f"systemd-analyze verify {UNIT} {PROBE}")
    assert verified.stdout + verified.stderr == ""
    machine.run(SCRIPT)  # once more is no fault

    assert "the local network alone" in machine.run(f"{SCRIPT} --forbid").stderr
    assert reached(machine) == NEAR
    assert machine.run(f"ls {DROP_INS}", check=False).returncode != 0
    assert machine.show(UNIT, "ActiveState") == "active"
    machine.run(f"{SCRIPT} --forbid")


def test_a_service_that_is_off_stays_off(machine: Machine) -> None:
    machine.run(f"systemctl stop {UNIT}")
    try:
        machine.run(SCRIPT)
        assert machine.show(UNIT, "ActiveState") == "inactive"
    finally:
        machine.run(f"systemctl start {UNIT}")


def test_who_may_and_how(machine: Machine) -> None:
    other = machine.run(f"setpriv --reuid=65534 --clear-groups {SCRIPT}", check=False)
    assert (other.returncode, "needs root" in other.stderr) == (77, True)
    assert machine.run(f"{SCRIPT} --allow", check=False).returncode == 64
