"""Machines for the tests: bare, and with the service installed from this checkout.

run.sh makes what these need, and names it in the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Given, Installed, install, related_files
from machine import Machine, remove_stale_groups


@pytest.fixture(scope="session")
def given() -> Iterator[Given]:
    """What run.sh made, unpacked."""
    remove_stale_groups()
    work = Path(os.environ["SERVICE_TEST_WORK"])
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=work))
    root = scratch / "root"
    root.mkdir()
    try:
        subprocess.run(
            ["tar", "--extract", "--file", os.environ["SERVICE_TEST_ROOT"], "--directory", root],
            check=True,
        )
        yield Given(
            suite=os.environ["SUITE"],
            root=root,
            wheels=work / "wheels",
            deb=Path(os.environ["SERVICE_TEST_DEB"]),
            scratch=scratch,
        )
    finally:
        shutil.rmtree(scratch)


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
