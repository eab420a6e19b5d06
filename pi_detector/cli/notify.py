"""``pi-detector notify``: try the rules of messages."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command, settings_of
from pi_detector.errors import ConfigError, PiDetectorError, SinkError
from pi_detector.util.suggest import did_you_mean
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.sinks.notify.message import Message
    from pi_detector.sinks.notify.services import Service


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "notify",
        "try the messages about events",
        "Messages about events are set up in [notify.NAME]; docs/notify.md has recipes.",
        """
        pi-detector notify test phone
        sudo pi-detector notify test phone --config /etc/pi-detector/config.toml
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    test = add_command(
        actions,
        "test",
        "send a test message now, and say what failed",
        "Send a test message, with a picture, to each service of a rule. Its hours, cooldown and "
        "queue do not count. A line per service: 'ok' or 'fail', and why; exit code 69 after a "
        "'fail'.",
    )
    test.add_argument("rule", metavar="NAME", help="of the rule, as in [notify.NAME]")
    test.set_defaults(command=send_test)


def send_test(args: argparse.Namespace) -> int:
    """Send a test message by a rule and print what came of it.

    Raises:
        ConfigError: there is no such rule, or a secret of the rules is missing.
        NoPermissionError: this user may not read a secret.
        DependencyMissingError: a service needs Apprise.
    """
    from pi_detector.cli.doctor_notify import goes_far
    from pi_detector.cli.findings import fail, ok, warn
    from pi_detector.config.secrets import with_secrets
    from pi_detector.sinks.notify.sink import services_of
    from pi_detector.util.sandbox import how_to_allow, unit_forbids_internet

    settings = settings_of(args)
    if args.rule not in settings.notify:
        raise ConfigError(_no_rule(args.rule, settings))
    rule = with_secrets(settings, os.environ, section="notify").notify[args.rule]
    message = _sample(args.rule, settings)
    healthy = True
    for service in services_of(rule):
        what = f"{args.rule} by {service.name}"
        begun_s = time.monotonic()
        problem = _try(service, message)
        if problem is None:
            print(ok(what, f"sent in {time.monotonic() - begun_s:.1f} s"), flush=True)
        else:
            healthy = False
            print(fail(what, problem, "docs/notify.md has examples"), flush=True)
    if any(map(goes_far, rule.urls)) and unit_forbids_internet():
        finding = "the service may not reach the internet, as this command may"
        print(warn(args.rule, finding, how_to_allow()), flush=True)
    return os.EX_OK if healthy else os.EX_UNAVAILABLE


def _try(service: Service, message: Message) -> str | None:
    """Why a service did not take a message; None where it did."""
    from pi_detector.core.outage import words_of

    try:
        service.prepare()
        service.send(message)
    except PiDetectorError as error:
        return one_line(str(error))
    except Exception as error:  # noqa: BLE001 - of a library; the other services are tried as well
        return one_line(words_of(error))
    return None


def _sample(name: str, settings: Settings) -> Message:
    """A message about an event that never was."""
    from pi_detector.config.settings import SourceSettings
    from pi_detector.sinks.notify.message import message_of
    from pi_detector.sinks.notify.sample import sample_note
    from pi_detector.sinks.registry import page_address
    from pi_detector.sources.registry import make_source

    rule = settings.notify[name]
    source = make_source(SourceSettings(uri="demo:"))
    source.open()
    try:
        frame = source.read()
    finally:
        source.close()
    if frame is None:
        raise SinkError("demo: has no frame for the test message")
    note = sample_note(frame, rule)
    return message_of([note], name, rule, rule.link or page_address(settings.web))


def _no_rule(name: str, settings: Settings) -> str:
    fix = "add [notify.NAME] to the settings (docs/notify.md), or name them with --config"
    if settings.notify:
        fix = did_you_mean(name, settings.notify, "the rules are {}", quote="")
    return f"notify: there is no rule {name}; {fix}"
