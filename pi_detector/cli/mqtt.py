"""``pi-detector mqtt``: delete the retained messages of this detector."""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command, settings_of
from pi_detector.errors import ConfigError, PiDetectorError, SinkError
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings

log = logging.getLogger(__name__)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "mqtt",
        "remove this detector from the broker",
        "The broker retains states, images and Home Assistant discovery (setting mqtt.retain).",
        """
        pi-detector mqtt remove
        pi-detector mqtt remove --config /etc/pi-detector/front-door.toml
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    remove = add_command(
        actions,
        "remove",
        "delete retained messages, and with them the device in Home Assistant",
        "Delete all retained messages of this detector, before uninstalling or renaming it. Fails "
        "if nothing was deleted.",
    )
    remove.add_argument(
        "--force", action="store_true", help="even if the detector seems to be connected"
    )
    remove.set_defaults(command=remove_retained)


def remove_retained(args: argparse.Namespace) -> int:
    """Delete the retained messages and list them.

    Raises:
        ConfigError: no broker is set.
        NoPermissionError: this user may not read the broker's password.
        SinkError: the broker is unreachable or refuses, or there was nothing to delete.
        UsageError: the detector is connected.
    """
    from pi_detector.config.secrets import with_secrets
    from pi_detector.sinks.mqtt import removal
    from pi_detector.sinks.registry import subjects_of

    settings = settings_of(args)
    if not settings.mqtt.host:
        raise ConfigError(
            "mqtt.host: is empty; set the broker, for example with --set mqtt.host=localhost"
        )
    settings = with_secrets(settings, os.environ, section="mqtt")
    subjects = subjects_of(settings, _labels(settings))
    done = removal.remove_retained(settings.mqtt, subjects, force=args.force)
    for topic in done.found + done.blind:
        print(one_line(topic))
    if done.blind:
        log.warning(
            "mqtt: this user may not read retained messages: only topics known from the settings "
            "are deleted, others stay"
        )
    if done.refused:
        topic, reason = next(iter(done.refused.items()))
        raise SinkError(
            f"mqtt: {len(done.refused)} topics stay: the broker refuses to delete {topic}: "
            f"{reason}; grant this user write access to it"
        )
    return os.EX_OK


def _labels(settings: Settings) -> list[str]:
    """The labels of the model; empty if the model no longer exists."""
    from pi_detector.detector.bundle import load_model

    try:
        return [label.name for label in load_model(settings.model).labels]
    except PiDetectorError as error:
        log.warning(
            "%s; of the topics of labels, only those that the broker lists are deleted", error
        )
        return []
