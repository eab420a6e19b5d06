"""Whether log messages go to systemd's journal, and so have fields."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from pi_detector.cli import common


def test_under_systemd_cat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "journal")
    monkeypatch.setattr(common, "_JOURNAL", path)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        with client.makefile("w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            assert common.logs_to_journal()


def test_in_a_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert not common.logs_to_journal()
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert common.logs_to_journal()


@pytest.mark.parametrize("connected", [True, False])
def test_another_socket(monkeypatch: pytest.MonkeyPatch, connected: bool) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    ours, theirs = socket.socketpair()
    if not connected:
        ours.close()
        ours = socket.socket(socket.AF_UNIX)
    with ours, theirs, ours.makefile("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert not common.logs_to_journal()
