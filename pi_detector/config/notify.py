"""The settings of messages about events."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from pi_detector.config.schedule import Day
from pi_detector.config.section import Reload, Seconds, Section, Share
from pi_detector.config.template import template_problem
from pi_detector.util.suggest import did_you_mean
from pi_detector.util.uri import network_uri_problem, parse_network_uri, split_uri

When = Literal["new", "loitering", "crossing", "end"]

WEBHOOKS = frozenset({"http", "https"})
"""Schemes of the URLs that are called without Apprise."""
LONGEST_EXPIRY_S = 7 * 24 * 3600
"""How long a message may wait at most."""
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_DAY_MINUTES = 24 * 60
_REFERENCE = re.compile(r"\$\{secret:[^}]*\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SHORTEST_SECRET = 16


class NotifySettings(Section, frozen=True):
    """Messages about events: to a phone, by e-mail, to a program. The name is the rule's.

    Attributes:
        enabled: send messages by this rule.
        urls: services, each an URL of Apprise (`ntfy://`, `tgram://`, `mailto://` ...; needs the
            extra `notify`), or `http://` and `https://` for a webhook of your own. Best as
            `${secret:NAME}`, as a whole or in parts.
        command: program and arguments that are run for each message, with the message as JSON on
            standard input; empty for none.
        secret: webhooks are signed with it (HMAC-SHA256); empty for none. Better
            `${secret:NAME}` than the secret itself.
        labels: labels that count; empty counts all.
        zones: only objects in one of these zones count, from the moment at which they are in one,
            also where they cross a line; empty counts all.
        lines: only crossings of these lines count; empty counts all.
        when: what a message is sent about: `new` an object that appeared, `loitering` one that
            stays in a zone (`loiter_s` of the zone), `crossing` one that crossed a line, `end` one
            that is gone.
        hours: times of the day at which messages are sent, in local time, such as `22:00-06:00`;
            empty is all day.
        days: days of the week on which messages are sent; a time that goes over midnight counts
            with the day on which it begins. Empty is every day.
        schedules: names of the schedules in whose hours messages are sent, in place of `hours` and
            `days`; empty is always.
        min_score: lowest score of an event.
        cooldown_s: after a message no other of the same kind and label for this long.
        group_s: a message waits for this long, and what happens meanwhile is part of it.
        title: of the message, with fields in braces; docs/notify.md lists them.
        body: of the message, likewise.
        image: `frame` sends the picture that shows the object best so far, `crop` what is around
            the object, `none` no picture.
        annotated: the object's box is drawn on the picture.
        image_width: pictures are scaled down to this width in pixels; 0 keeps their size.
        clip: the message of kind `end` is sent when the clip of the event is finished, and has it
            attached where the service takes it; needs `recording.enabled`.
        clip_mb: largest clip that is attached, in MiB; of larger ones there is the link alone.
        link: address of the page, for `{link}`; empty takes that of the page (`web.enabled`).
        expire_s: a message that could not be sent for this long is dropped, and counted.
        timeout_s: a webhook or a command that takes longer has failed.
        max_per_minute: at most this many messages per minute; others wait.
        queue_mb: size of all messages that wait for one service, in MiB; the oldest are dropped.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    enabled: bool = True
    urls: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    secret: str = ""
    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    when: tuple[When, ...] = ("new",)
    hours: tuple[str, ...] = ()
    days: tuple[Day, ...] = ()
    schedules: tuple[str, ...] = ()
    min_score: Share = 0.0
    cooldown_s: Seconds = 0.0
    group_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    title: str = "{what}"
    body: str = "{detector}, {time}\n{link}"
    image: Literal["frame", "crop", "none"] = "frame"
    annotated: bool = True
    image_width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 800
    clip: bool = False
    clip_mb: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    link: str = ""
    expire_s: Annotated[float, msgspec.Meta(ge=1, le=LONGEST_EXPIRY_S)] = 3600.0
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 10.0
    max_per_minute: Annotated[int, msgspec.Meta(ge=1, le=6000)] = 60
    queue_mb: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 64


def minutes_of(hours: str) -> tuple[int, int] | None:
    """Beginning and end of a time of the day, in minutes since midnight.

    Returns:
        None for a text that is none. An end that is not after the beginning is on the next day.

    Example:
        >>> minutes_of("22:00-06:30")
        (1320, 390)
    """
    found = _HOURS.fullmatch(hours)
    if found is None:
        return None
    begin = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4])
    return (begin, end) if end <= _DAY_MINUTES else None


def shown_url(url: str) -> str:
    """A service's URL as it may be shown: its scheme, and what it refers to as ``${secret:NAME}``.

    The host of ``ntfy://`` is the topic, and all who know it read along: only what is nothing but
    references is shown whole. The path of a webhook is what keeps others from calling it, so
    only its host and port are shown.
    """
    rest = _REFERENCE.sub("", url)
    scheme, after = split_uri(rest)
    if not rest or (scheme and not after.strip("/")):
        return url
    if scheme in WEBHOOKS and (parsed := parse_network_uri(url)) is not None:
        if not (parsed.userinfo or parsed.path.strip("/") or parsed.query or parsed.fragment):
            return url
        host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
        return f"{scheme}://{host}{'' if parsed.port is None else f':{parsed.port}'}/***"
    return f"{scheme}://***" if scheme else "***"


def notify_conflicts(
    rule: NotifySettings,
    *,
    zones: Collection[str],
    lines: Collection[str],
    schedules: Collection[str],
    clips: bool,
) -> Iterator[tuple[str, str]]:
    """What is wrong with a rule, each as the name of a setting and the words after its path.

    Args:
        rule: whose values are each valid.
        zones: names of the zones that there are.
        lines: names of the lines that there are.
        schedules: names of the schedules that there are.
        clips: clips of events are recorded.
    """
    if rule.enabled and not (rule.urls or rule.command):
        yield "", "has neither urls nor a command; add one, or set enabled = false"
    for url in rule.urls:
        if problem := _url_problem(url):
            yield "urls", problem
    if rule.command and not rule.command[0].strip():
        yield "command", "its first word, the program, is empty"
    if rule.secret and not _REFERENCE.search(rule.secret) and len(rule.secret) < _SHORTEST_SECRET:
        fix = "'openssl rand -hex 16' makes a good one"
        yield "secret", f"has less than {_SHORTEST_SECRET} characters; {fix}"
    for name in ("title", "body"):
        if problem := template_problem(getattr(rule, name)):
            yield name, problem
    for hours in rule.hours:
        if minutes_of(hours) is None:
            yield "hours", f"{json.dumps(hours)[:40]} is no time of the day; write 22:00-06:00"
    yield from _not_together(rule, clips)
    yield from _unknown(rule, {"zones": zones, "lines": lines, "schedules": schedules})


def _not_together(rule: NotifySettings, clips: bool) -> Iterator[tuple[str, str]]:
    if rule.schedules and (rule.hours or rule.days):
        yield "schedules", "stands beside hours or days of its own; keep the one or the other"
    if rule.lines and "crossing" not in rule.when:
        yield "lines", 'only crossings have lines; add "crossing" to when'
    if rule.group_s >= rule.expire_s:
        yield (
            "group_s",
            f"a group waits for {rule.group_s:g} s, and expires after {rule.expire_s:g} s; raise "
            "expire_s",
        )
    if rule.enabled and rule.clip and "end" not in rule.when:
        yield "clip", 'comes with the message of the end; add "end" to when'
    if rule.enabled and rule.clip and not clips:
        yield "clip", "no clips are recorded; set recording.enabled and recording.clips"
    if not rule.when:
        yield "when", 'is empty, so no message is ever sent; ["new"] is usual'


def _unknown(
    rule: NotifySettings, known: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    for kind, names in known.items():
        for name in getattr(rule, kind):
            if name not in names:
                table = "schedule" if kind == "schedules" else kind
                fix = did_you_mean(name, names, f"add [{table}.{name}]", quote='"')
                yield kind, f"there is no {kind[:-1]} {json.dumps(name)}; {fix}"


def _url_problem(url: str) -> str | None:
    """What is wrong with the URL of a service; what is still a secret is not judged."""
    if _REFERENCE.search(url):
        return None
    scheme, rest = split_uri(url)
    if not scheme or not rest.startswith("//") or not _SCHEME.fullmatch(scheme):
        return "an URL has no scheme; write ntfy://, mailto://, https:// ... (docs/notify.md)"
    if scheme in WEBHOOKS and (network_uri_problem(url) or parse_network_uri(url) is None):
        return (
            f"no host and port can be read from {shown_url(url)}; write special characters of "
            "user, password and path as %XX"
        )
    return None
