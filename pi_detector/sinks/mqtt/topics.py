"""Topic names."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from pi_detector.config.outputs import MqttSettings

# Besides what MQTT forbids in a level, '%' itself, so that two names never become one topic.
_UNFIT = re.compile(r"[+#/%\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]|^\$")
_MOST_BYTES = 120
_HASH_DIGITS = 12
_MACHINE_ID = Path("/etc/machine-id")
_MACHINE_DIGITS = 8


def level(name: str) -> str:
    """A name as one level of a topic: what does not belong there is percent-encoded.

    Different names give different levels; a very long one ends in a hash.
    Source: MQTT 5.0, 1.5.4 UTF-8 encoded string, 4.7 topic names.

    Example:
        >>> level("gate/left #2")
        'gate%2Fleft %232'
    """
    text = _UNFIT.sub(_percent, name) or "%"
    data = text.encode()
    if len(data) <= _MOST_BYTES:
        return text
    digest = hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]
    return f"{data[:_MOST_BYTES].decode(errors='ignore')}%{digest}"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def identifier(name: str) -> str:
    """A name of ASCII letters, digits, ``_`` and ``-``, as Home Assistant wants its ids."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if plain == name and len(name) <= _MOST_BYTES:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{plain[:_MOST_BYTES]}_{digest}"


def machine_token(file: Path = _MACHINE_ID) -> str:
    """Return a short text that distinguishes devices without revealing the machine ID.

    Empty if the device has no machine ID. Source: machine-id(5), which asks for a keyed hash.
    """
    try:
        machine_id = file.read_bytes().strip()
    except OSError:
        return ""
    if not machine_id:
        return ""
    return hmac.digest(machine_id, b"pi-detector mqtt client", "sha256").hex()[:_MACHINE_DIGITS]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one detector.

    Attributes:
        name: of the detector, as people know it.
        prefix: that all its topics begin with.
        discovery: Home Assistant's topic about it.
        device_id: of the device in Home Assistant.
        client_id: in the broker. Its default differs from machine to machine, so that two detectors
            of one name do not push each other off the broker.
        birth: where Home Assistant says that it is there.
        queue: name of the file of waiting events, without a suffix.
    """

    name: str
    prefix: str
    discovery: str
    device_id: str
    client_id: str
    birth: str
    queue: str

    @classmethod
    def of(cls, settings: MqttSettings) -> Topics:
        """The topics that the settings ask for."""
        name = settings.name or socket.gethostname()
        device_id = f"pi-detector-{identifier(name)}"
        return cls(
            name=name,
            prefix=settings.topic or f"pi-detector/{level(name)}",
            discovery=f"{settings.discovery_prefix}/device/{device_id}/config",
            device_id=device_id,
            client_id=settings.client_id or "-".join(filter(None, [device_id, machine_token()])),
            birth=f"{settings.discovery_prefix}/status",
            queue=f"mqtt-{identifier(settings.client_id or device_id)}",
        )

    @property
    def availability(self) -> str:
        """``online`` or ``offline``."""
        return f"{self.prefix}/status"

    @property
    def events(self) -> str:
        """Event records."""
        return f"{self.prefix}/events"

    @property
    def detections(self) -> str:
        """Detections records."""
        return f"{self.prefix}/detections"

    @property
    def performance(self) -> str:
        """Performance records."""
        return f"{self.prefix}/performance"

    @property
    def commands(self) -> str:
        """What is listened to: the filter of all commands."""
        return f"{self.prefix}/command/+"

    def command(self, name: str) -> str:
        """A command."""
        return f"{self.prefix}/command/{name}"

    def status(self, part: str, name: str) -> str:
        """Status records of a part; sinks, schedules and deeds of the governor have their own."""
        own = f"/{level(name)}" if part in ("sink", "schedule", "governor") else ""
        return f"{self.prefix}/status/{level(part)}{own}"

    def state(self, kind: str, name: str) -> str:
        """What is in the picture now; ``kind`` is ``labels``, ``zones`` or ``lines``."""
        return f"{self.prefix}/state/{kind}/{level(name)}"

    @property
    def states(self) -> str:
        """The filter of all states."""
        return f"{self.prefix}/state/+/+"

    @property
    def schedules(self) -> str:
        """The filter of the status records of schedules."""
        return f"{self.prefix}/status/schedule/+"

    def of_removed(self, topic: str) -> list[str]:
        """What is retained about a label, zone, line or schedule, by its state's topic."""
        kind, name = topic.split("/")[-2:]
        return [topic, *([f"{self.prefix}/snapshot/{name}"] if kind == "labels" else [])]

    def snapshot(self, label: str) -> str:
        """The best view of the latest event of a label."""
        return f"{self.prefix}/snapshot/{level(label)}"

    @property
    def camera(self) -> str:
        """What the camera sees, a frame now and then."""
        return f"{self.prefix}/camera"

    @property
    def controls(self) -> str:
        """The settings that commands change, as they are."""
        return f"{self.prefix}/controls"

    @property
    def picture(self) -> str:
        """The picture that a command asked for."""
        return f"{self.prefix}/picture"
