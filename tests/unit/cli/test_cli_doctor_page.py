"""The doctor's checks of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pi_detector.cli import doctor_page
from pi_detector.cli.doctor_page import page_findings
from pi_detector.cli.findings import Finding, Level
from pi_detector.config.outputs import WebSettings
from pi_detector.config.settings import Settings
from pi_detector.errors import NoPermissionError

TOKEN = "0123456789abcdef0123456789abcdef"


def findings(environ: dict[str, str] | None = None, **web: Any) -> list[Finding]:
    settings = msgspec.structs.replace(Settings(), web=WebSettings(**{"enabled": True, **web}))
    return list(page_findings(settings, environ or {}))


def test_a_page_that_is_off_or_for_this_machine_is_well() -> None:
    assert [each.level for each in findings(enabled=False)] == [Level.OK]
    assert [each.level for each in findings()] == [Level.OK]
    behind = findings(token=TOKEN, trusted_proxies=("127.0.0.1",))
    assert [each.level for each in behind] == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("proxies", "fix"),
    [
        ((), "a reverse proxy with TLS and web.trusted_proxies"),
        (("127.0.0.1", "::1"), 'set web.host = "127.0.0.1"'),
        (("10.0.0.1",), "restrict port 8080 to the proxies by a firewall"),
    ],
)
def test_a_page_for_the_network_is_warned_of(proxies: tuple[str, ...], fix: str) -> None:
    page, token = findings(host="0.0.0.0", token=TOKEN, trusted_proxies=proxies)

    assert page.level is Level.WARN
    assert "without encryption" in page.finding
    assert fix in page.fix
    assert token.level is Level.OK


@pytest.mark.parametrize("token", ["0123456789abcdef012", "a" * 40, "password1234"])
def test_a_token_that_can_be_guessed_is_warned_of(tmp_path: Path, token: str) -> None:
    (tmp_path / "web").write_text(token)
    named = findings({"CREDENTIALS_DIRECTORY": str(tmp_path)}, token="${secret:web}")

    for finding in (findings(token=token)[1], named[1]):
        assert finding.level is Level.WARN
        assert "openssl rand" in finding.fix
        assert token not in str(finding)


def test_a_token_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    named = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    missing = findings(named, token="${secret:web}")[1]
    (tmp_path / "web").write_text("short")
    short = findings(named, token="${secret:web}")[1]

    assert missing.level is short.level is Level.FAIL
    assert "no such secret" in missing.finding
    assert "shorter than 12" in short.finding


def test_a_token_that_is_not_seen_is_not_called_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Settings:
        raise NoPermissionError("web.token: this user may not")

    monkeypatch.setattr(doctor_page, "with_secrets", refuse)
    hidden = findings(token="${secret:web}")[1]

    assert (hidden.level, hidden.fix) == (Level.WARN, "run doctor with sudo")
