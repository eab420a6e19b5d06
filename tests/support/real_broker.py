"""A broker that can be killed, and programs of ours beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 40.0


def wait_for(
    condition: Callable[[], object], what: object = "", patience_s: float = PATIENCE_S
) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < patience_s, what() if callable(what) else what
        time.sleep(0.02)
    return time.monotonic() - started


class Broker:
    """mosquitto on 127.0.0.1."""

    def __init__(self, folder: Path, *lines: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        self.lines = list(lines) or ["allow_anonymous true"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self.folder
        text = [
            f"listener {self.port} 127.0.0.1",
            f"persistence_location {folder}/",
            "persistence true",
            "autosave_interval 0",
            "max_queued_messages 100000",
            # A reader is sent all at once: what waits in a broker that is killed is gone.
            "max_inflight_messages 0",
            *(["user root"] if os.geteuid() == 0 else []),
            *self.lines,
        ]
        (folder / "mosquitto.conf").write_text("\n".join(text) + "\n")
        with (folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        wait_for(self._answers, (folder / "mosquitto.log").read_text)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


class Program:
    """A process of ours whose output is read."""

    def __init__(self, command: list[Any], environ: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
            text=True,
        )
        for stream, lines in (
            (self.process.stdout, self.lines),
            (self.process.stderr, self.errors),
        ):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        lines.extend(iter(stream.readline, ""))

    def said(self, start: str) -> list[str]:
        return [line.strip() for line in list(self.lines) if line.startswith(start)]

    def waits_for(self, condition: Callable[[], object]) -> float:
        return wait_for(condition, lambda: "".join([*self.lines[-20:], *self.errors[-20:]]))

    def status(self) -> list[dict[str, Any]]:
        """Status records about the connection, from a feeder."""
        return [json.loads(line.removeprefix("status ")) for line in self.said("status ")]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Let a feeder close its sink."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0, self.errors
