"""Examples that pipe records to another program, run as they are documented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from command import pi_detector
from where import CHECKOUT

COMMANDS = ("run", "replay", "doctor", "report")
_EXAMPLE = re.compile(r"pi-detector (\w+)[^|\n]*\| jq ((?:-\w )*)'([^'\n]+)'")


def documented() -> list[tuple[str, str]]:
    """Command and jq program of each example."""
    texts = [pi_detector(command, "--help").stdout for command in COMMANDS]
    texts += [file.read_text() for file in (CHECKOUT / "docs").glob("*.md")]
    texts.append((CHECKOUT / "README.md").read_text())
    return [(found[1], found[3]) for text in texts for found in _EXAMPLE.finditer(text)]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command writes, with all kinds of records that it writes."""
    log = tmp_path_factory.mktemp("log") / "device"
    options = ("--set", f"output.log={log}", "--set", "telemetry.interval_s=0.2")
    records = pi_detector("run", "--source", "demo:", "--frames", 60, *options).stdout
    kinds = set(re.findall(r'"type":"(\w+)"', records))
    assert kinds == {"status", "detections", "event", "performance"}
    return {
        "run": records,
        "replay": "\n".join(line for line in records.splitlines() if '"type":"event"' in line),
        "doctor": pi_detector("doctor", "--json").stdout,
        "report": pi_detector("report", log.parent, "--json", "-").stdout,
    }


def test_examples_of_jq(outputs: dict[str, str]) -> None:
    jq = shutil.which("jq")
    if jq is None:
        pytest.skip("jq is not installed: sudo apt install jq")
    examples = documented()
    assert {command for command, _ in examples} == set(COMMANDS)
    for command, program in examples:
        done = subprocess.run(
            [jq, "-c", program],
            input=outputs[command], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == os.EX_OK, (program, done.stderr)
        assert done.stdout, program
