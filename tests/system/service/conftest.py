"""Machines for the tests: bare, and with the service installed from this checkout.

run.sh makes what these need, and names it in the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Given, Installed, install, related_files
from machine import PREFIX, Machine, remove_stale

# A file system in memory is much faster, as apt and rm wait for disks.
MEMORY = Path("/dev/shm")
LAYERS_BYTES = 4 << 30


@pytest.fixture(scope="session")
def given() -> Iterator[Given]:
    """What run.sh made."""
    work = Path(os.environ["SERVICE_TEST_WORK"])
    remove_stale(MEMORY, work)
    prefix = f"{PREFIX}{os.getpid()}-"
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=roomy(MEMORY, work)))
    try:
        yield Given(
            suite=os.environ["SUITE"],
            root=work / "root",
            wheels=work / "wheels",
            deb=Path(os.environ["SERVICE_TEST_DEB"]),
            scratch=scratch,
        )
    finally:
        shutil.rmtree(scratch)


def roomy(preferred: Path, otherwise: Path) -> Path:
    """A folder with room for the layers of two machines."""
    has_room = preferred.is_dir() and shutil.disk_usage(preferred).free >= LAYERS_BYTES
    return preferred if has_room else otherwise


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
