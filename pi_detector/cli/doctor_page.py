"""Checks of the page: who can reach it, and whether its token can be guessed."""

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
    """Check the settings of the page.

    Args:
        settings: secrets may stand for themselves.
        environ: environment variables.
    """
    if not settings.web.enabled:
        yield ok("page", "off")
        return
    yield reach(settings.web)
    if settings.web.token:
        yield token(settings.web, environ)


def reach(web: WebSettings) -> Finding:
    """From where the page is seen, and who can read along."""
    what, proxies = "page", [ipaddress.ip_network(proxy) for proxy in web.trusted_proxies]
    if is_loopback(web.host):
        behind = "behind a proxy" if proxies else "for this machine alone"
        return ok(what, f"at {web.host} port {web.port}, {behind}")
    finding = f"the network reaches {web.host} port {web.port} without encryption"
    if proxies and all(proxy.is_loopback for proxy in proxies):
        return warn(what, f"{finding}, past the proxy", 'set web.host = "127.0.0.1"')
    if proxies:
        return warn(what, finding, f"let a firewall admit only the proxies to port {web.port}")
    fix = "use SSH, or a reverse proxy with TLS and web.trusted_proxies (docs/web.md)"
    return warn(what, finding, fix)


def token(web: WebSettings, environ: Mapping[str, str]) -> Finding:
    """Whether the token is long enough not to be guessed."""
    what, fix = "page token", "make one with 'openssl rand -hex 16'"
    try:
        secret = with_secrets(msgspec.structs.replace(Settings(), web=web), environ).web.token
    except NoPermissionError:
        return warn(what, "a secret that this user may not read", "run doctor with sudo")
    except ConfigError as error:
        return Finding(Level.FAIL, what, str(error))
    if len(secret) < _SHORT or len(set(secret)) < _FEW:
        return warn(what, f"shorter than {_SHORT} characters, or of few different ones", fix)
    return ok(what, "long enough")
