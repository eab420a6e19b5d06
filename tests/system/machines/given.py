"""What run.sh made, and machines on it: the fixture ``given``, a plugin of pytest.

debian.sh makes what it needs, and names it in the environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine import PREFIX, Machine, remove_stale

CHECKOUT = Path(__file__).resolve().parents[3]
# A file system in memory is much faster, as apt and rm wait for disks.
MEMORY = Path("/dev/shm")
LAYERS_BYTES = 4 << 30


@dataclass(frozen=True)
class Given:
    """What run.sh made.

    Attributes:
        suite: the Debian of the machines.
        root: its file system.
        wheels: folder with all wheels that an installation needs.
        deb: the package.
        scratch: folder for layers, removed at the end.
    """

    suite: str
    root: Path
    wheels: Path
    deb: Path
    scratch: Path

    def machine(self, *layers: Path, keep: bool = False) -> Machine:
        """A machine on ``layers`` over the bare system, with /checkout, /wheels and /deb."""
        binds = {"/checkout": CHECKOUT, "/wheels": self.wheels, "/deb": self.deb.parent}
        return Machine([*layers, self.root], self.scratch, binds, keep=keep)

    def repack(
        self, file: Path, version: Callable[[str], str], change: Callable[[Path], None]
    ) -> None:
        """Write the package with another version, and with files changed, to ``file``."""
        tree = Path(tempfile.mkdtemp(prefix="package-", dir=self.scratch), "tree")
        subprocess.run(["dpkg-deb", "--raw-extract", self.deb, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(
            re.sub(
                "(?m)^Version: (.*)$", lambda m: f"Version: {version(m[1])}", control.read_text()
            )
        )
        change(tree)
        subprocess.run(
            ["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, file], check=True
        )
        shutil.rmtree(tree.parent)


@pytest.fixture(scope="session")
def given() -> Iterator[Given]:
    """What run.sh made."""
    work = Path(os.environ["MACHINES_WORK"])
    remove_stale(MEMORY, work)
    prefix = f"{PREFIX}{os.getpid()}-"
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=roomy(MEMORY, work)))
    try:
        yield Given(
            suite=os.environ["SUITE"],
            root=work / "root",
            wheels=work / "wheels",
            deb=Path(os.environ["MACHINES_DEB"]),
            scratch=scratch,
        )
    finally:
        shutil.rmtree(scratch)


def roomy(preferred: Path, otherwise: Path) -> Path:
    """A folder with room for the layers of two machines."""
    has_room = preferred.is_dir() and shutil.disk_usage(preferred).free >= LAYERS_BYTES
    return preferred if has_room else otherwise
