"""What the tests install on their machines, and how they see what it left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from machine import Machine

# Where a service may leave something.
FOLDERS = ("/etc", "/opt", "/usr", "/var/lib", "/var/log", "/var/tmp", "/run/systemd/system")
# What the machine changes by itself, and the accounts' back-ups.
UNRELATED = (
    "/etc/.pwd.lock",
    "/etc/.updated",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/ld.so.cache",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/run/systemd/system",
    "/usr/lib/python3",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/systemd/",
    "/var/log/",
    "/var/tmp/systemd-private-",
)


@dataclass(frozen=True)
class Installed:
    """A system after ``systemd/install.sh``.

    Attributes:
        layer: what that wrote, under which machines can be made.
        before: the files before it, as ``related_files`` gives them.
    """

    layer: Path
    before: dict[str, str]


def install(
    machine: Machine, checkout: str = "/checkout", *, wheels: str = "/wheels", check: bool = True
) -> str:
    """Run install.sh without the package index. Returns what it says."""
    command = f"PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels} {checkout}/systemd/install.sh"
    done = machine.run(command, check=check, timeout_s=300)
    return f"{done.returncode} {done.stdout}{done.stderr}"


def related_files(machine: Machine) -> dict[str, str]:
    """The files of a machine that an installation may have made."""
    found = machine.files(*FOLDERS) | {"/": machine.out("stat -c '%a %u:%g' /")}
    return {path: kind for path, kind in found.items() if not path.startswith(UNRELATED)}
