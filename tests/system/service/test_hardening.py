"""What the service may not do: seen from inside, by a program in its place, and from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine
from probing import PROBE, prepared, probed

UNIT = "pi-detector.service"
HIGHEST_EXPOSURE = 1.5


@pytest.fixture(scope="module")
def seen(machine: Machine) -> Iterator[dict[str, Any]]:
    """What probe.py could do in the place of the daemon."""
    with prepared(machine):
        yield probed(machine)


@pytest.mark.parametrize("unit", [UNIT, PROBE])
def test_exposure(machine: Machine, unit: str) -> None:
    told = machine.out(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
    exposure = float(told.partition("exposure level for")[2].split()[1])
    assert exposure <= HIGHEST_EXPOSURE, told


def test_the_units_have_no_mistakes(machine: Machine) -> None:
    checked = machine.run(f"systemd-analyze verify {UNIT} {PROBE}")
    assert checked.stdout + checked.stderr == ""


def test_who_it_is(machine: Machine) -> None:
    status = machine.read(f"/proc/{machine.main_pid(UNIT)}/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    user = machine.out("id -u pi-detector")
    assert fields["Uid"].split() == [user] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[kind], 16) == 0, kind
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    groups = machine.out("stat -c %g /dev/probe-null; id -G pi-detector")
    assert set(fields["Groups"].split()) == set(groups.split())


def test_it_writes_into_its_folders_alone(seen: dict[str, Any]) -> None:
    written = {path for path, error in seen["write"].items() if error is None}
    own = {"/var/lib/pi-detector/probe", "/var/log/pi-detector/probe", "/run/pi-detector@probe"}
    # systemd leaves /run as it is, and the user of all instances is one.
    assert written == own | {"/run/pi-detector", "/tmp", "/var/tmp", "/dev/shm"}


def test_temporary_files_are_its_own(machine: Machine, seen: dict[str, Any]) -> None:
    assert seen["write"]["/tmp"] is None
    assert machine.run("ls /tmp/written /var/tmp/written", check=False).returncode != 0


def test_it_does_not_see_homes_other_processes_or_the_secrets_folder(seen: dict[str, Any]) -> None:
    assert seen["read"] == dict.fromkeys(
        ["/home/somebody/diary", "/root", "/etc/pi-detector/credentials", "/etc/shadow"], "EACCES"
    )
    assert seen["processes"] == 1
    assert seen["secret"] == "known"


def test_of_the_devices_it_has_the_harmless_and_its_groups(seen: dict[str, Any]) -> None:
    assert seen["device"] == {"/dev/probe-null": None, "/dev/probe-kmsg": "EPERM"}


def test_addresses(seen: dict[str, Any]) -> None:
    allowed = {address for address, error in seen["send"].items() if error != "EPERM"}
    assert allowed == {"127.0.0.1", "192.168.77.1", "10.77.0.1"}


def test_sockets(seen: dict[str, Any]) -> None:
    allowed = {family for family, error in seen["socket"].items() if error is None}
    assert allowed == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}


def test_forbidden_calls(seen: dict[str, Any]) -> None:
    assert all(error in {"EPERM", "EACCES"} for error in seen["call"].values()), seen["call"]


def test_what_the_daemon_needs_works(seen: dict[str, Any]) -> None:
    assert set(seen["needed"].values()) == {None}, seen["needed"]
