"""How long a start takes, and how much memory: of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pi_detector.bench.results import Case
from pi_detector.config.settings import ModelSettings
from pi_detector.errors import PiDetectorError

_FRAMES = 20
_TIMEOUT_S = 120.0
_FIRST = b'{"type":"detections"'


def start(case: Case, model: ModelSettings) -> tuple[float, float]:
    """Run the daemon on the demonstration until it has published some frames.

    Args:
        case: runtime, threads, size of the frames.
        model: path and labels.

    Returns:
        Seconds from the start of the process to the first record of a frame; the largest resident
        memory, in MB.

    Raises:
        PiDetectorError: it ended before.
    """
    settings = {
        "model.path": model.path,
        "model.labels": model.labels,
        "model.runtime": case.runtime,
        "model.threads": case.threads,
        "source.width": case.width,
        "source.height": case.height,
        "telemetry.interval_s": 0,
    }
    command = [sys.executable, "-m", "pi_detector", "run", "--source", "demo:"]
    command += ["--config", os.devnull]
    command += [f"--set={name}={value}" for name, value in settings.items() if value != ""]
    started_s = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_plain_environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        first_s, seen = 0.0, 0
        for line in process.stdout:
            if line.startswith(_FIRST):
                first_s = first_s or time.monotonic() - started_s
                seen += 1
            if seen == _FRAMES:
                break
        peak_mb = _peak_mb(process.pid)
        process.terminate()
        if seen < _FRAMES:
            words = process.stderr.read().decode(errors="replace").strip().splitlines()
            raise PiDetectorError(
                f"pi-detector run ended early: {words[-1] if words else 'silent'}"
            )
        process.communicate(timeout=_TIMEOUT_S)
    return first_s, peak_mb


def _peak_mb(pid: int) -> float:
    """Largest resident memory of a process that lives. Source: proc_pid_status(5), ``VmHWM``."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _plain_environment() -> dict[str, str]:
    """The environment without settings and without a service manager."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PI_DETECTOR") and name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}
    }
