"""``pi-detector mqtt``: what a broker keeps about this detector."""

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
        "Delete all retained messages of this detector, before it is uninstalled or renamed. An "
        "error where nothing could be deleted.",
    )
    remove.add_argument(
        "--force", action="store_true", help="although the detector seems to be connected"
    )
    remove.set_defaults(command=remove_retained)


def remove_retained(args: argparse.Namespace) -> int:
    """Delete the retained messages and say which.

    Raises:
        ConfigError: no broker is set.
        NoPermissionError: this user may not read the broker's password.
        SinkError: the broker is not there, or refuses, or there was nothing to delete.
        UsageError: the detector is connected.
    """
    from pi_detector.config.secrets import with_secrets
    from pi_detector.sinks.mqtt import removal
    from pi_detector.sinks.registry import place_of

    settings = settings_of(args)
    if not settings.mqtt.host:
        raise ConfigError("mqtt.host: is empty; set the broker, as in --set mqtt.host=localhost")
    settings = with_secrets(settings, os.environ, section="mqtt")
    place = place_of(settings, _labels(settings))
    done = removal.remove_retained(settings.mqtt, place, force=args.force)
    for topic in done.found + done.blind:
        print(one_line(topic))
    if done.blind:
        log.warning(
            "mqtt: this user may not read what the broker keeps: deleted are the topics that the "
            "settings name, others stay"
        )
    if done.refused:
        topic, reason = next(iter(done.refused.items()))
        raise SinkError(
            f"mqtt: {len(done.refused)} topics stay: the broker refuses to delete {topic}: "
            f"{reason}; let this user write there"
        )
    return os.EX_OK


def _labels(settings: Settings) -> list[str]:
    """The labels of the model; none where it is not there any more."""
    from pi_detector.detector.bundle import load_model

    try:
        return [label.name for label in load_model(settings.model).labels]
    except PiDetectorError as error:
        log.warning("%s; topics of labels are deleted only as far as the broker shows them", error)
        return []
