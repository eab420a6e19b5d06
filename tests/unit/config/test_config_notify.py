"""The rules of messages: what is refused, and what is never shown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from pi_detector.config.load import load_settings
from pi_detector.config.notify import minutes_of, shown_url
from pi_detector.config.secrets import references, with_secrets
from pi_detector.config.settings import Settings
from pi_detector.config.template import FIELDS, filled, template_problem
from pi_detector.config.text import settings_toml
from pi_detector.errors import ConfigError
from pi_detector.events.stage import EventStage

URL = "http://127.0.0.1:8000/"


def loaded(folder: Path, rule: dict[str, Any], **more: Any) -> Settings:
    file = folder / "config.toml"
    file.write_text(tomli_w.dumps({"notify": {"phone": rule}, **more}))
    return load_settings(file, {}, [])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "notify.phone: has neither urls nor a command"),
        (
            {"urls": [URL], "title": "{lable}"},
            "title: unknown field {lable}; did you mean {label}",
        ),
        ({"urls": [URL], "body": "{label.__class__}"}, "body: unknown field {label.__class__}"),
        ({"urls": [URL], "body": "{0}"}, "body: unknown field {0}; use one of what, labels"),
        ({"urls": [URL], "body": "{label"}, "body: a lone '{'; write '{{'"),
        ({"urls": [URL], "body": "}"}, "body: a lone '}'; write '}}'"),
        ({"urls": [URL], "hours": ["22-6"]}, 'hours: "22-6" is no time of the day; write 22:00-06'),
        ({"urls": [URL], "hours": ["22:00-24:30"]}, "is no time of the day"),
        ({"urls": [URL], "days": ["monday"]}, "days: expected one of"),
        ({"urls": [URL], "when": ["gone"]}, "when: expected one of"),
        ({"urls": [URL], "when": []}, "when: is empty"),
        ({"urls": [URL], "zones": ["dor"]}, 'zones: there is no zone "dor"; did you mean "door"?'),
        (
            {"urls": [URL], "lines": ["x"], "when": ["crossing"]},
            'there is no line "x"; add [lines.x]',
        ),
        ({"urls": [URL], "schedules": ["nigth"]}, 'no schedule "nigth"; did you mean "night"?'),
        ({"urls": [URL], "schedules": ["x"]}, 'there is no schedule "x"; add [schedule.x]'),
        ({"urls": [URL], "schedules": ["night"], "days": ["sat"]}, "stands beside hours or days"),
        (
            {"urls": [URL], "group_s": 60, "expire_s": 60},
            "group_s: a group waits for 60 s, and expires after 60 s; raise expire_s",
        ),
        ({"urls": [URL], "clip": True}, 'clip: comes with the message of the end; add "end"'),
        ({"urls": [URL], "clip": True, "when": ["end"]}, "clip: no clips are recorded"),
        ({"urls": [URL], "lines": ["x"]}, 'only crossings have lines; add "crossing" to when'),
        ({"urls": ["my-topic"]}, "urls: an URL has no scheme"),
        (
            {"urls": ["http://me:p@ss/w@host/"]},
            "urls: no host and port can be read from http://***",
        ),
        ({"urls": [URL], "secret": "short"}, "secret: has less than 16 characters"),
        ({"command": ["", "x"]}, "command: its first word, the program, is empty"),
        ({"urls": [URL], "group_s": -1}, "group_s: expected float in 0..3600"),
        ({"urls": [URL], "colour": 1}, "unknown setting `notify.phone.colour`"),
    ],
)
def test_a_rule_that_makes_no_sense(tmp_path: Path, rule: dict[str, Any], words: str) -> None:
    zones = {"door": {"polygon": [[0, 0], [1, 0], [0.5, 1]]}}
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, rule, zones=zones, schedule={"night": {"start": "22:00"}})
    assert words in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/config.toml:")


def test_a_rule_that_is_off_needs_no_service(tmp_path: Path) -> None:
    assert not loaded(tmp_path, {"enabled": False}).notify["phone"].enabled


def test_a_label_that_the_model_does_not_know(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"urls": [URL], "labels": ["persn"]})
    with pytest.raises(ConfigError, match=r"notify\.phone\.labels: .*did you mean 'person'"):
        EventStage(settings, {1: "person"}, {1: 0.5})


def test_templates_are_filled_once() -> None:
    values = dict.fromkeys(FIELDS, "{label}")
    assert filled("{what} {{what}}", values) == "{label} {what}"
    assert template_problem("".join(f"{{{name}}}" for name in FIELDS)) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("00:00-24:00", (0, 1440)),
        ("22:00-06:30", (1320, 390)),
        ("24:00-01:00", None),
        ("1:00-2:00", None),
    ],
)
def test_times_of_the_day(text: str, minutes: tuple[int, int] | None) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("${secret:phone}", "${secret:phone}"),
        ("ntfys://${secret:topic}", "ntfys://${secret:topic}"),
        ("tgram://${secret:bot}/${secret:chat}", "tgram://${secret:bot}/${secret:chat}"),
        ("ntfy://mytopic", "ntfy://***"),
        ("ntfy://host/${secret:topic}", "ntfy://***"),
        ("mailto://me:pw@gmail.com", "mailto://***"),
        ("https://me:pw@host/hook?token=x", "https://host/***"),
        ("http://[::1]:8123/api/webhook/a1b2", "http://[::1]:8123/***"),
        (URL, URL),
        ("nonsense", "***"),
    ],
)
def test_what_is_shown_of_a_service(tmp_path: Path, url: str, shown: str) -> None:
    assert shown_url(url) == shown
    if url != "nonsense":
        settings = loaded(tmp_path, {"urls": [url], "secret": "0123456789abcdef"})
        rule = tomllib.loads(settings_toml(settings))["notify"]["phone"]
        assert (rule["urls"], rule["secret"]) == ([shown], "***")


def test_secrets_are_put_in_as_a_url_needs_them(tmp_path: Path) -> None:
    (tmp_path / "secret_whole").write_text("ntfys://a/b?c=d\n")
    (tmp_path / "secret_part").write_text("p@ss/w?rd\n")
    urls = ["${secret:whole}", "mailto://me:${secret:part}@gmail.com"]
    settings = loaded(tmp_path, {"urls": urls, "secret": "${secret:part}0123456789"})
    assert references(settings) == {"notify"}
    rule = with_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).notify["phone"]
    assert rule.urls == ("ntfys://a/b?c=d", "mailto://me:p%40ss%2Fw%3Frd@gmail.com")
    assert rule.secret == "p@ss/w?rd0123456789"


def test_secrets_of_rules_that_are_off_are_not_asked_for(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"enabled": False, "urls": ["${secret:none}"]})
    assert references(settings) == set()
    with_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    "override", ['urls=["ntfy://topic"]', "urls=ntfy://topic", "secret=0123456789abcdef"]
)
def test_command_lines_are_seen_by_all(override: str) -> None:
    with pytest.raises(ConfigError, match="all users of this device can see it") as error:
        load_settings(None, {}, [f"notify.phone.{override}"])
    assert "topic" not in str(error.value)
    load_settings(None, {}, [f'notify.phone.urls=["{URL}", "${{secret:x}}"]'])
