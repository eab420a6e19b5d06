"""``pi-detector mqtt``: what a broker keeps about this detector."""

from __future__ import annotations

import argparse
import os

from pi_detector.cli.common import Subparsers, add_command, settings_of
from pi_detector.errors import ConfigError
from pi_detector.util.text import one_line


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "mqtt",
        "what the broker keeps about this detector",
        "The broker keeps states, pictures and what Home Assistant is told (setting mqtt.retain).",
        """
        pi-detector mqtt remove
        pi-detector mqtt remove --config /etc/pi-detector/front-door.toml
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    remove = add_command(
        actions,
        "remove",
        "delete what the broker keeps, and the device in Home Assistant",
        "Delete all retained messages of this detector, before it is uninstalled or renamed, or "
        "after zones were removed.",
    )
    remove.add_argument(
        "--force", action="store_true", help="although the detector seems to be connected"
    )
    remove.set_defaults(command=remove_retained)


def remove_retained(args: argparse.Namespace) -> int:
    """Delete the retained messages and say which.

    Raises:
        ConfigError: no broker is set.
        SinkError: the broker is not there, or refuses.
        NoPermissionError: this user may not read the broker's password.
        UsageError: the detector is connected.
    """
    from pi_detector.config.secrets import with_secrets
    from pi_detector.sinks.mqtt import removal

    settings = settings_of(args)
    if not settings.mqtt.host:
        raise ConfigError("mqtt.host: is empty; set the broker, as in --set mqtt.host=localhost")
    settings = with_secrets(settings, os.environ, section="mqtt")
    for topic in removal.remove_retained(settings.mqtt, force=args.force):
        print(one_line(topic))
    return os.EX_OK
