"""Checks of the web page: its exposure to the network, and the strength of its token."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

import msgspec

from pi_detector.cli.findings import Finding, Level, ok, warn
from pi_detector.config.check import is_loopback
from pi_detector.config.outputs import WebSettings
from pi_detector.config.secrets import with_secrets
from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError, NoPermissionError

_SHORT = 20
_FEW = 8  # different characters


def page_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the settings of the web page.

    Args:
        settings: the settings; references to secrets need not be resolved.
        environ: environment variables.
    """
    if not settings.web.enabled:
        yield ok("page", "off")
        return
    yield reach(settings.web)
    if settings.web.token:
        yield token(settings.web, environ)


def reach(web: WebSettings) -> Finding:
    """Check who can reach the page, and who can intercept it."""
    what, proxies = "page", [ipaddress.ip_network(proxy) for proxy in web.trusted_proxies]
    if is_loopback(web.host):
        behind = "behind a proxy" if proxies else "for this device only"
        return ok(what, f"on {web.host} port {web.port}, {behind}")
    finding = f"{web.host} port {web.port} is open to the network without encryption"
    if proxies and all(proxy.is_loopback for proxy in proxies):
        return warn(what, f"{finding}, bypassing the proxy", 'set web.host = "127.0.0.1"')
    if proxies:
        return warn(what, finding, f"restrict port {web.port} to the proxies by a firewall")
    fix = "use SSH, or a reverse proxy with TLS and web.trusted_proxies (docs/web.md)"
    return warn(what, finding, fix)


def token(web: WebSettings, environ: Mapping[str, str]) -> Finding:
    """Check whether the token is too long to be guessed."""
    what, fix = "page token", "generate one with 'openssl rand -hex 16'"
    try:
        secret = with_secrets(msgspec.structs.replace(Settings(), web=web), environ).web.token
    except NoPermissionError:
        return warn(what, "a secret that this user may not read", "run doctor with sudo")
    except ConfigError as error:
        return Finding(Level.FAIL, what, str(error))
    if len(secret) < _SHORT or len(set(secret)) < _FEW:
        return warn(what, f"shorter than {_SHORT} characters, or with few different ones", fix)
    return ok(what, "long enough")
