"""The RTSP server of ``server.py``, which can be frozen, killed and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # has GStreamer's bindings, from apt


class Camera:
    """The server, which can be frozen, killed and started again on the same port."""

    def __init__(self, *options: str) -> None:
        self.options = options
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def uri(self) -> str:
        return self.address("camera")

    def address(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, SERVER, str(self.port), *self.options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None
