"""Checks of the service: its unit, what was changed of it, and who belongs to its group."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path

from pi_detector.cli.findings import Finding, fail, ok, warn
from pi_detector.util.programs import shown_units, unit_properties

_UNITS = ("pi-detector.service", "pi-detector@*.service")
_GROUP = "pi-detector"
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "Result", "StatusText", "UnitFileState"),
    *("NeedDaemonReload", "DropInPaths", "User", "NoNewPrivileges", "ProtectSystem"),
    *("WatchdogUSec", "Restart", "MemoryMax"),
)
# What a drop-in should leave: property, values that weaken it, and what is lost by them.
_WEAKENED = (
    ("User", ("", "root"), "runs as root"),
    ("NoNewPrivileges", ("no",), "may gain privileges"),
    ("ProtectSystem", ("no", "yes", "full"), "may write outside its folders"),
    ("WatchdogUSec", ("0", "infinity"), "has no watchdog"),
    ("Restart", ("no",), "is not restarted after a failure"),
)
_SYSTEMD = Path("/run/systemd/system")
_CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")


def service_findings() -> Iterator[Finding]:
    """Check the service of this machine; nothing where systemd does not run or it has no unit."""
    if not _SYSTEMD.is_dir():
        return
    found = list(units(shown_units(_UNITS, _PROPERTIES)))
    yield from found
    if found:
        yield from membership()
        if not memory_is_limited():
            yield warn(
                "service memory",
                "the kernel's memory controller is off, and MemoryMax= has no effect",
                "docs/install.md explains how to enable it",
            )


def units(shown: str) -> Iterator[Finding]:
    """Judge the units.

    Args:
        shown: the answer of ``systemctl show``: lines NAME=VALUE, units with empty lines between.
    """
    for unit in unit_properties(shown):
        if unit.get("LoadState", "not-found") != "not-found":
            yield from _judge(unit)


def _judge(unit: dict[str, str]) -> Iterator[Finding]:
    name = unit.get("Id", _UNITS[0])
    what = f"service {name.removesuffix('.service')}"
    state, load = unit.get("ActiveState", ""), unit.get("LoadState", "")
    if load != "loaded":
        yield fail(what, f"its unit is {load}", f"systemctl status {name}")
        return
    if unit.get("NeedDaemonReload") == "yes":
        fix = f"sudo systemctl daemon-reload, then sudo systemctl restart {name}"
        yield warn(what, "its unit changed on disk, but the old one is running", fix)
    lost = [words for key, values, words in _WEAKENED if unit.get(key) in values]
    if lost:
        where = unit.get("DropInPaths") or "its unit"
        yield warn(what, f"{', '.join(lost)}, by {where}", "remove those lines")
    status = unit.get("StatusText", "")
    if state == "failed":
        why = f"{unit.get('Result', '')}; {status}".strip("; ")
        yield fail(what, f"failed ({why})", f"journalctl -u {name} -n 50")
    elif "refused" in status:
        yield warn(what, status, "correct the settings, then reload")
    elif state != "active":
        yield warn(what, f"is {state}", f"sudo systemctl start {name}")
    elif unit.get("UnitFileState") == "disabled":
        yield warn(what, "runs, but does not start at boot", f"sudo systemctl enable {name}")
    else:
        yield ok(what, f"active{f': {status}' if status else ''}")


def membership() -> Iterator[Finding]:
    """Whether this user sees the recordings and logs of the service."""
    try:
        group = grp.getgrnam(_GROUP)
    except KeyError:
        return
    if os.geteuid() != 0 and group.gr_gid not in {os.getegid(), *os.getgroups()}:
        yield warn(
            "group",
            f"this user is not in the group {_GROUP}, so its recordings and logs are not readable",
            f"sudo usermod -aG {_GROUP} $USER, then log in again",
        )


def memory_is_limited() -> bool:
    """Whether the kernel counts the memory of services; True also where that is not known."""
    try:
        return "memory" in _CONTROLLERS.read_text().split()
    except OSError:
        return True
