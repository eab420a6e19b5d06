"""Check a tree of settings and describe its problems."""

from __future__ import annotations

import functools
import ipaddress
import json
import math
import re
from collections.abc import Iterator
from datetime import date, time
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import inspect

from pi_detector.config.cameras import camera_problems
from pi_detector.config.copying import copy_problems
from pi_detector.config.notify import notify_conflicts
from pi_detector.config.outputs import MqttSettings, RecordingSettings, WebSettings
from pi_detector.config.plugin_tables import RESERVED, is_confidential, section_type
from pi_detector.config.schedule import schedule_problems
from pi_detector.config.settings import Point, Settings, SourceSettings, is_hidden
from pi_detector.errors import PluginError
from pi_detector.util.addresses import is_network
from pi_detector.util.plugins import installed
from pi_detector.util.suggest import did_you_mean, nearest
from pi_detector.util.text import has_controls, one_line
from pi_detector.util.uri import network_uri_problem, redact

Path = tuple[str, ...]
Problem = tuple[Path, str]
"""The path of a setting, and a message about it."""

# Cached: the annotations are strings, which msgspec evaluates at each call.
_fields = functools.cache(msgspec.structs.fields)
_LONGEST = 40  # characters of a value that a message quotes
_UNFIT_TOPIC = re.compile(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff]|^\$|^/|//|/$")
_LONGEST_TOPIC = 200
_SHORTEST_TOKEN = 12
_NAMED_BY_THE_USER = {
    *(("zones",), ("lines",), ("privacy",), ("schedule",), ("notify",)),
    ("motion", "masks"),
}
_LONGEST_NAME = 100


def problems(tree: object) -> Iterator[Problem]:
    """Yield the problems of a tree of plain values, as TOML gives it.

    The tree may be partial: settings that it leaves out have defaults.
    """
    return _check(Settings, tree, ())


def conflicts(settings: Settings) -> Iterator[Problem]:
    """Yield the conflicts between settings that are valid one by one."""
    yield from _source_conflicts(settings.source)
    events = settings.events
    if events.min_hits > events.window:
        yield (
            ("events", "min_hits"),
            f"events.min_hits: min_hits ({events.min_hits}) exceeds window ({events.window}); "
            "raise events.window",
        )
    for name in events.zones:
        if name not in settings.zones:
            fix = did_you_mean(name, settings.zones, f"add [zones.{name}]", quote='"')
            yield (
                ("events", "zones"),
                f"events.zones: zone {json.dumps(name)} does not exist; {fix}",
            )
    outlines = {("zones", name): ("polygon", zone.polygon) for name, zone in settings.zones.items()}
    outlines |= {
        ("privacy", name): ("polygon", mask.polygon) for name, mask in settings.privacy.items()
    }
    outlines |= {("lines", name): ("points", line.points) for name, line in settings.lines.items()}
    for path, (key, points) in outlines.items():
        if not points:
            yield path, f"{dotted(path)}: no {key} given; add {key} = [[x, y], ...] in 0..1"
    for name, limits in settings.filters.items():
        path = ("filters", name)
        for low, high in (("min_area", "max_area"), ("min_aspect", "max_aspect")):
            if getattr(limits, low) > getattr(limits, high):
                yield path, f"{dotted(path)}: {low} exceeds {high}; lower {low}"
    textfile = settings.metrics.textfile
    if textfile and not textfile.endswith(".prom"):
        yield ("metrics", "textfile"), "metrics.textfile: the name does not end in .prom; rename it"
    governor = settings.governor
    if governor.enabled and not (governor.temperature_celsius or governor.latency_ms):
        yield (
            ("governor", "enabled"),
            "governor.enabled: no target is set; set governor.temperature_celsius or "
            "governor.latency_ms",
        )
    yield from (*_recording_conflicts(settings.recording), *copy_problems(settings))
    yield from _schedule_conflicts(settings)
    yield from _mqtt_conflicts(settings.mqtt)
    yield from _web_conflicts(settings.web)
    yield from _notify_conflicts(settings)


def _source_conflicts(source: SourceSettings) -> Iterator[Problem]:
    if problem := network_uri_problem(source.uri):
        yield ("source", "uri"), problem
    if (crop := source.crop) and not (crop[0] < crop[2] and crop[1] < crop[3]):
        yield (
            ("source", "crop"),
            "source.crop: nothing is left; set [left, top, right, bottom] with left < right and "
            "top < bottom",
        )
    if (mode := source.sensor_mode) and len(mode) not in {2, 3}:
        yield (
            ("source", "sensor_mode"),
            "source.sensor_mode: expected [width, height] or [width, height, bits]; "
            "'pi-detector cameras' lists the modes",
        )


def _schedule_conflicts(settings: Settings) -> Iterator[Problem]:
    yield from schedule_problems(settings.schedule, settings.location)
    for section in ("detection", "recording"):
        for name in getattr(settings, section).schedules:
            if name not in settings.schedule:
                otherwise = f"add [schedule.{name}]"
                fix = did_you_mean(name, settings.schedule, otherwise, quote='"')
                yield (
                    (section, "schedules"),
                    f"{section}.schedules: schedule {json.dumps(name)} does not exist; {fix}",
                )


def _recording_conflicts(recording: RecordingSettings) -> Iterator[Problem]:
    if not (recording.enabled and recording.max_gb):
        return
    largest = recording.largest_event_bytes
    if recording.max_gb * 1e9 >= largest:
        return
    needed = f"cannot hold one event, which takes up to {_gb_up(largest)} GB"
    fix = f"set it to {_gb_up(largest)} or more"
    if recording.clips:
        needed += (
            f" with longest_event_s = {recording.longest_event_s:g} and "
            f"max_kbps = {recording.max_kbps}"
        )
        fix += ", or lower one of those"
    yield (
        ("recording", "max_gb"),
        f"recording.max_gb: {recording.max_gb:g} GB {needed}; {fix}",
    )


def _gb_up(size: int) -> str:
    """Bytes in GB, rounded up."""
    return f"{math.ceil(size / 1e6) / 1e3:g}"


def _mqtt_conflicts(mqtt: MqttSettings) -> Iterator[Problem]:
    for name in ("topic", "discovery_prefix"):
        topic = getattr(mqtt, name)
        if topic and (_UNFIT_TOPIC.search(topic) or len(topic) > _LONGEST_TOPIC):
            yield (
                ("mqtt", name),
                f"mqtt.{name}: not a valid topic; separate non-empty levels with '/', without '+' "
                "or '#', and do not start with '$'",
            )
    if not mqtt.discovery_prefix:
        yield (
            ("mqtt", "discovery_prefix"),
            "mqtt.discovery_prefix: is empty; set it, usually to homeassistant",
        )
    if mqtt.password and not mqtt.username:
        yield ("mqtt", "password"), "mqtt.password: mqtt.username is missing; set both"
    if bool(mqtt.cert_file) != bool(mqtt.key_file):
        name = "cert_file" if mqtt.cert_file else "key_file"
        yield (
            ("mqtt", name),
            f"mqtt.{name}: set without its counterpart; set both cert_file and key_file",
        )
    for name in ("ca_file", "cert_file"):
        if getattr(mqtt, name) and not mqtt.tls:
            yield ("mqtt", name), f"mqtt.{name}: has no effect without TLS; set mqtt.tls = true"


def _notify_conflicts(settings: Settings) -> Iterator[Problem]:
    for name, rule in settings.notify.items():
        for key, fault in notify_conflicts(
            rule,
            zones=settings.zones,
            lines=settings.lines,
            schedules=settings.schedule,
            clips=settings.recording.enabled and settings.recording.clips,
        ):
            path: Path = ("notify", name, *([key] if key else []))
            yield path, f"{dotted(path)}: {fault}"


def _web_conflicts(web: WebSettings) -> Iterator[Problem]:
    if not web.enabled:
        return
    if not web.token and not is_loopback(web.host):
        yield (
            ("web", "host"),
            f"web.host: {_quote(web.host)} is reachable from the network; set web.token, "
            'preferably to ${secret:NAME}, or web.host = "127.0.0.1"',
        )
    for name, fault in camera_problems(web.cameras):
        yield ("web", "cameras", name), f"{dotted(('web', 'cameras', name))}: {fault}"
    if 0 < len(web.token) < _SHORTEST_TOKEN:
        yield (
            ("web", "token"),
            f"web.token: shorter than {_SHORTEST_TOKEN} characters; generate one with "
            "'openssl rand -hex 16'",
        )
    for proxy in web.trusted_proxies:
        if not is_network(proxy):
            yield (
                ("web", "trusted_proxies"),
                f"web.trusted_proxies: {_quote(proxy)} is not an address such as 127.0.0.1 or a "
                "network such as 10.0.0.0/24; name the proxy's own address",
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is reachable from this device only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def dotted(path: Path) -> str:
    """A path as TOML writes a key: ``detection.min_scores."traffic light"``."""
    return ".".join(
        name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name) for name in path
    )


def describe(kind: inspect.Type) -> str:
    """Describe the values that a setting accepts: ``int in 32..8192``."""
    match kind:
        case inspect.Metadata(type=inner):
            words = describe(inner)
        case inspect.TupleType(item_types=kinds):
            words = f"[{', '.join(describe(each) for each in kinds)}]"
        case inspect.VarTupleType(item_type=inspect.TupleType()):
            words = "a list of points [x, y], each in 0..1"
        case inspect.DictType(value_type=item):
            words = f"a table of values, each {describe(item)}"
        case inspect.VarTupleType(item_type=item):
            words = f"a list of values, each {describe(item)}"
        case inspect.LiteralType(values=values):
            words = "one of " + ", ".join(json.dumps(value) for value in values)
        case inspect.UnionType(types=kinds):
            named = [each for each in kinds if not isinstance(each, inspect.NoneType)]
            words = " or ".join(describe(each) for each in named)
        case inspect.IntType():
            words = "int" + _limits(kind)
        case inspect.FloatType():
            words = "float" + _limits(kind)
        case _:
            simple = {inspect.StructType: "a table", inspect.BoolType: "true or false"}
            words = simple.get(type(kind), "string")
    return words


def _limits(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" in {kind.ge}..{kind.le}"
    bounds = ((">", kind.gt), (">=", kind.ge), ("<", kind.lt), ("<=", kind.le))
    named = [f"{sign} {bound}" for sign, bound in bounds if bound is not None]
    return " " + " and ".join(named) if named else ""


def _check(kind: Any, value: Any, path: Path) -> Iterator[Problem]:
    origin = get_origin(kind)
    if origin is Annotated and get_origin(get_args(kind)[0]) is tuple:
        yield from _check_outline(kind, value, path)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        types = {field.name: field.type for field in _fields(kind)}
        for name, item in value.items():
            if name in types:
                yield from _check(types[name], item, (*path, name))
            else:
                yield (*path, name), _unknown((*path, name), list(types))
    elif origin is dict and isinstance(value, dict):
        for name, item in value.items():
            if path == ("plugins",):
                yield from _check_plugin(name, item)
                continue
            if path in _NAMED_BY_THE_USER and (fault := _name_fault(name)):
                yield (*path, name), f"{dotted((*path, name))}: {fault}"
            yield from _check(get_args(kind)[1], item, (*path, name))
    elif origin is tuple and isinstance(value, list):
        for item in value:
            yield from _check(get_args(kind)[0], item, path)
    else:
        yield from _check_value(kind, value, path)


def _check_plugin(name: str, table: Any) -> Iterator[Problem]:
    path = ("plugins", name)
    if not isinstance(table, dict):
        yield path, f"{dotted(path)}: expected a table, got {_quote(table)}"
        return
    if name in RESERVED:
        yield path, f"{dotted(path)}: is the name of a sink of pi-detector; see 'config init'"
        return
    try:
        kind = section_type(name)
    except PluginError:
        return  # the sink that is made from it says so
    if kind is None:
        known = [plugin.name for plugin in installed("sink")]
        fix = did_you_mean(name, known, "install the package that brings it; there are {}")
        yield path, f"{dotted(path)}: no package brings a sink of this name; {fix}"
    else:
        yield from _check(kind, table, path)


def _check_value(kind: Any, value: Any, path: Path) -> Iterator[Problem]:
    name = dotted(path) or "settings"
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter for bytes that are not UTF-8
        expected = describe(inspect.type_info(kind))
        hidden = is_hidden(path) or is_confidential(kind)
        got = "a different value (not shown)" if hidden else _quote(value)
        yield path, f"{name}: expected {expected}, got {got}"
        return
    if isinstance(value, str) and "\0" in value:
        yield path, f"{name}: contains a NUL character; remove it"


def _name_fault(name: str) -> str | None:
    """What makes a name unusable in logs, pages and topics; None if nothing does."""
    if not name.strip():
        return "the name is empty; choose a name"
    if len(name) > _LONGEST_NAME:
        return f"the name has {len(name)} characters; use at most {_LONGEST_NAME}"
    if has_controls(name):
        return "the name contains control characters; remove them"
    return None


def _check_outline(kind: Any, value: Any, path: Path) -> Iterator[Problem]:
    name = dotted(path)
    if not isinstance(value, list):
        yield path, f"{name}: expected a list of points [x, y], each in 0..1, got {_quote(value)}"
        return
    for number, point in enumerate(value, 1):
        try:
            msgspec.convert(point, Point)
        except msgspec.ValidationError:
            got = json.dumps(point, default=str)[:_LONGEST]
            yield path, f"{name}: point {number}: expected [x, y], each in 0..1, got {got}"
            return
    for meta in get_args(kind)[1:]:
        problem = (meta.extra or {})["problem"](value)
        if problem is not None:
            yield path, f"{name}: {problem}"


def _unknown(path: Path, valid: list[str]) -> str:
    message = f"unknown setting `{dotted(path)}`; "
    near = nearest(path[-1], valid)
    elsewhere = _sections_with(path[-1])
    if near:
        return message + f"did you mean `{near}`?"
    if elsewhere:
        return message + f"did you mean `{elsewhere[0]}.{path[-1]}`?"
    return message + "valid settings: " + ", ".join(valid)


def _sections_with(name: str) -> list[str]:
    found = []
    for section in msgspec.structs.fields(Settings):
        named = get_origin(section.type) is dict
        kind = get_args(section.type)[1] if named else section.type
        if kind is Any:
            continue
        if name in {field.name for field in msgspec.structs.fields(kind)}:
            found.append(f"{section.name}.NAME" if named else section.name)
    return found


def _quote(value: Any) -> str:
    """A value as the user wrote it, on one line."""
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case date() | time():
            return value.isoformat()
        case _:
            shown = redact(value) if isinstance(value, str) and "://" in value else value
            text = json.dumps(shown, ensure_ascii=False)
            # Remaining control characters would act on the terminal.
            return one_line(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
