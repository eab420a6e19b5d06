"""NUL in settings, secrets that make no token, and the proxies of the page."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pi_detector.config.load import load_settings
from pi_detector.config.secrets import with_secrets
from pi_detector.errors import ConfigError


@pytest.mark.parametrize(
    "setting", ["output.log", "source.uri", "mqtt.ca_file", "detection.labels", "web.token"]
)
def test_settings_have_no_nul(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "config.toml"
    value = ["s3cret\0"] if setting == "detection.labels" else "s3cret\0"
    file.write_text(f"mqtt.tls = true\n{setting} = {json.dumps(value)}\n")

    with pytest.raises(ConfigError, match=f"{setting}: contains a NUL character") as error:
        load_settings(file, {}, ())
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("", "the secret is empty"), ("\n", "the secret is empty"), ("short", "shorter than 12")],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_secret_does_not_make_a_page_without_a_token(
    tmp_path: Path, secret: str, reason: str, host: str
) -> None:
    (tmp_path / "web").write_text(secret)
    settings = load_settings(
        None, {}, ["web.enabled=true", f"web.host={host}", "web.token=${secret:web}"]
    )

    with pytest.raises(ConfigError, match=reason) as error:
        with_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert error.value.exit_code == os.EX_CONFIG


def test_a_secret_is_read(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("correct-horse-battery\n")
    settings = load_settings(None, {}, ["web.enabled=true", "web.token=${secret:web}"])

    found = with_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.web.token == "correct-horse-battery"


@pytest.mark.parametrize("proxy", ["*", "proxy.local", "10.0.0.1/8", "0.0.0.0/0", "::/0", ""])
def test_proxies_are_addresses_or_networks_but_not_all(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.trusted_proxies: .* is not an address"):
        load_settings(None, {}, ["web.enabled=true", f"web.trusted_proxies={json.dumps([proxy])}"])


@pytest.mark.parametrize("proxy", ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"])
def test_proxies_that_are_named(proxy: str) -> None:
    chosen = ["web.enabled=true", f"web.trusted_proxies={json.dumps([proxy])}"]

    assert load_settings(None, {}, chosen).web.trusted_proxies == (proxy,)
