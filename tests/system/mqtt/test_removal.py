"""`pi-detector mqtt remove`, with all rights at the broker and with few."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DISCOVERY, NAME, PREFIX, STATUS, Broker, Program, Reader, retained

SettingsFile = Callable[..., Path]
Start = Callable[..., Program]


def removal(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pi_detector", "mqtt", "remove", "--config", path]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("rule", "code", "deleted", "words"),
    [
        ("topic write #", 0, [STATUS, DISCOVERY], "may not read retained messages"),
        (f"topic write {PREFIX}/#", 74, [STATUS], f"refuses to delete {DISCOVERY}"),
        ("topic read #", 74, [], "grant this user write"),
        ("topic write elsewhere/#", 74, [], "nothing was deleted"),
    ],
)
def test_a_removal_without_all_rights_says_what_it_could_do(
    make_broker: Callable[..., Broker],
    tmp_path: Path,
    settings: SettingsFile,
    rule: str,
    code: int,
    deleted: list[str],
    words: str,
) -> None:
    rules = tmp_path / "rules"
    rules.touch(mode=0o600)
    rules.write_text(f"{rule}\n")
    broker = make_broker("allow_anonymous true", f"acl_file {rules}")
    done = removal(settings(broker))
    assert done.returncode == code, done.stderr
    assert set(deleted) <= set(done.stdout.splitlines())
    assert bool(done.stdout) == bool(deleted)
    assert words in done.stderr


def test_all_that_the_broker_keeps_can_be_removed(
    broker: Broker, reader: Reader, settings: SettingsFile, daemon: Start
) -> None:
    path = settings(broker)
    program = daemon(path)
    program.waits_for(lambda: "mqtt: connected" in "".join(program.errors))
    program.waits_for(lambda: reader.last(f"{STATUS}/source"))

    refused = removal(path)
    assert refused.returncode == 64
    assert f"{NAME}: connected" in refused.stderr
    assert DISCOVERY in retained(broker)
    program.process.terminate()
    assert program.process.wait(20) == 0
    removed = removal(path)
    assert removed.returncode == 0, removed.stderr
    assert DISCOVERY in removed.stdout.splitlines()
    assert retained(broker) == {}
    again = removal(path)
    assert again.stdout == ""
    assert again.returncode == 74
    assert "the broker retains no messages below pi-detector/camera/#" in again.stderr
