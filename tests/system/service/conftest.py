"""Machines with the service installed from this checkout."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from given import Given
from installation import Installed, install, related_files
from machine import Machine


@pytest.fixture(scope="session")
def installed(given: Given) -> Installed:
    """A system on which install.sh ran for the first time, and had to get a package by apt."""
    machine = given.machine(keep=True)
    with machine:
        before = related_files(machine)
        machine.run("dpkg --remove python3-systemd")
        install(machine)
        machine.run("dpkg --verify python3-systemd")
    return Installed(machine.upper, before)


@pytest.fixture(scope="module")
def machine(given: Given, installed: Installed) -> Iterator[Machine]:
    """A machine with the service installed and running, for the tests of a file."""
    with given.machine(installed.layer) as running:
        yield running
