"""Installation from a checkout: again, with faults, and back to nothing. The order counts."""

from __future__ import annotations

import re

import pytest
from given import Given
from installation import Installed, install, related_files
from machine import Machine

UNIT = "pi-detector.service"
SETTINGS = "/etc/pi-detector/config.toml"


def test_it_is_installed(machine: Machine) -> None:
    assert machine.show(UNIT, "ActiveState") == "active"
    assert machine.out("pi-detector --version").startswith("pi-detector ")
    assert machine.out("ls -d /opt/pi-detector.*").count("\n") == 0
    inside = "import numpy, systemd; print(numpy.__file__, systemd.__file__)"
    for file in machine.out(f"/opt/pi-detector/bin/python -c '{inside}'").split():
        assert file.startswith("/usr/lib/python3/dist-packages/"), "apt's"


def test_again_is_an_upgrade_that_keeps_settings(machine: Machine) -> None:
    before = related_files(machine)
    pid, environment = machine.main_pid(UNIT), machine.out("readlink /opt/pi-detector")
    own = machine.read(SETTINGS) + "\n[detection]\nmin_score = 0.7\n"
    machine.write(SETTINGS, own)
    install(machine)
    assert machine.read(SETTINGS) == own
    assert machine.main_pid(UNIT) not in {0, pid}
    assert machine.out("readlink /opt/pi-detector") != environment
    assert without(related_files(machine), "/opt/") == without(before, "/opt/")
    assert machine.run(f"test -e {environment}", check=False).returncode != 0, "the old one is gone"


def test_a_service_that_was_switched_off_stays_off(machine: Machine) -> None:
    machine.run(f"systemctl disable --now {UNIT}")
    try:
        install(machine)
        assert machine.show(UNIT, "ActiveState") == "inactive"
        assert machine.show(UNIT, "UnitFileState") == "disabled"
    finally:
        machine.run(f"systemctl enable --now {UNIT}")


def test_settings_that_the_new_version_refuses(machine: Machine) -> None:
    pid, before = machine.main_pid(UNIT), related_files(machine)
    own = machine.read(SETTINGS)
    machine.write(SETTINGS, own + "\n[nonsense]\n")
    try:
        said = install(machine, check=False)
    finally:
        machine.write(SETTINGS, own)
    assert said.startswith("78 "), said
    assert "nonsense" in said
    assert machine.main_pid(UNIT) == pid
    assert related_files(machine) == before


def test_a_version_that_does_not_start_gives_way_to_the_one_before(machine: Machine) -> None:
    before = related_files(machine)
    unit = machine.out(f"systemctl cat {UNIT}")
    copy_checkout(machine, "/tmp/broken")
    machine.run("sed -i 's,^ExecStart=.*,ExecStart=/bin/false,' /tmp/broken/systemd/*.service")
    said = install(machine, "/tmp/broken", check=False)
    assert not said.startswith("0 "), said
    assert "going back" in said
    assert machine.show(UNIT, "ActiveState") == "active"
    assert machine.out(f"systemctl cat {UNIT}") == unit
    assert related_files(machine) == before


HOOK = """
import os, pathlib
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        places = ("/etc/shadow", "/root", "/home", "/tmp/strange")
        seen = [place for place in places if os.access(place, os.R_OK)]
        raise RuntimeError(f"built by {os.getuid()}, who sees {seen}")
"""


def test_what_is_built_is_built_by_nobody_who_matters(machine: Machine) -> None:
    """A build runs code of others; one that fails leaves the machine as it was."""
    before = related_files(machine)
    copy_checkout(machine, "/tmp/strange")
    machine.write("/tmp/strange/systemd/hook.py", HOOK)
    hook = '[tool.hatch.build.hooks.custom]\npath = "systemd/hook.py"\n'
    machine.write("/tmp/strange/pyproject.toml", machine.read("/tmp/strange/pyproject.toml") + hook)
    said = install(machine, "/tmp/strange", check=False)
    user = re.search(r"built by (\d+), who sees \[\]", said)
    assert user, said
    assert int(user[1]) >= 61184, "of the users that systemd makes for the moment"
    assert said.startswith("69 "), said
    assert related_files(machine) == before


@pytest.mark.parametrize("package", ["msgspec", "imutils"])
def test_a_file_that_is_not_the_locked_one_is_refused(machine: Machine, package: str) -> None:
    before = related_files(machine)
    # Not below /tmp, which the sandbox of the builder has for itself.
    machine.run("cp -r /wheels /srv/wheels")
    machine.run(f"for file in /srv/wheels/{package}-*; do echo more >>$file; done")
    try:
        said = install(machine, wheels="/srv/wheels", check=False)
    finally:
        machine.run("rm -r /srv/wheels")
    assert not said.startswith("0 "), said
    assert "DO NOT MATCH THE HASHES" in said, said
    assert related_files(machine) == before


def test_it_refuses_kindly(machine: Machine, given: Given) -> None:
    refused = machine.run("/checkout/systemd/install.sh", user="nobody", check=False)
    assert refused.returncode == 77
    assert "sudo" in refused.stderr
    refused = machine.run("/checkout/systemd/install.sh --frobnicate", check=False)
    assert refused.returncode == 64
    # What it recommends would be installed all the same.
    command = f"apt-get -qq install -y --no-install-recommends /deb/{given.deb.name}"
    refused = machine.run(command, check=False)
    assert refused.returncode != 0
    assert "uninstall.sh --keep-data" in refused.stdout + refused.stderr


def test_uninstalled_with_its_data_kept(machine: Machine, installed: Installed) -> None:
    machine.write("/var/lib/pi-detector/snapshot.jpg", "picture")
    machine.run("/checkout/systemd/uninstall.sh --keep-data")
    left = set(related_files(machine)) - set(installed.before)
    assert {"/etc/pi-detector/config.toml", "/var/lib/pi-detector/snapshot.jpg"} <= left
    kept = ("/etc/pi-detector", "/var/lib/pi-detector", "/var/log/pi-detector")
    assert {path for path in left if not path.startswith(kept)} == set()
    assert machine.show(UNIT, "LoadState") == "not-found"


def test_uninstalled_nothing_is_left(machine: Machine, installed: Installed) -> None:
    install(machine)
    machine.write("/etc/pi-detector/door.toml", '[source]\nuri = "demo:"\n')
    machine.run("systemctl enable --now pi-detector@door.service")
    machine.write(f"/etc/systemd/system/{UNIT}.d/override.conf", "[Service]\nNice=1\n")
    machine.run("/checkout/systemd/uninstall.sh")
    assert related_files(machine) == installed.before
    assert machine.out("systemctl list-units --all --plain --no-legend 'pi-detector*'") == ""
    for database in ("passwd", "group"):
        assert machine.run(f"getent {database} pi-detector", check=False).returncode == 2
    assert "pi-detector" not in machine.read("/etc/group")
    assert machine.run("pgrep -u 990-999 -f pi-detector", check=False).stdout == ""


def copy_checkout(machine: Machine, folder: str) -> None:
    """Copy what install.sh needs of the checkout."""
    needed = "systemd pi_detector models pyproject.toml README.md LICENSE"
    machine.run(f"mkdir {folder} && cd /checkout && cp -r {needed} {folder}")


def without(files: dict[str, str], folder: str) -> dict[str, str]:
    return {path: kind for path, kind in files.items() if not path.startswith(folder)}
