"""A password, wherever people put one into a URI, is in no output of any command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.cli.main import main
from pi_detector.config.settings import SourceSettings
from pi_detector.errors import PiDetectorError
from pi_detector.sources.registry import make_source
from pi_detector.util.uri import redact, redact_within

# Nobody listens there, and no other host is ever asked.
HOST = "127.0.0.1:9"
PLACES = [
    "rtsp://admin:PW@HOST/live",
    "rtsp://PW@HOST/live",
    "rtsp://admin:PW@HOST",
    "RTSPS://admin:PW@HOST/live?channel=1",
    "rtsp://HOST/user=admin_password=PW_channel=1_stream=0.sdp",
    "rtsp://HOST/user=admin&password=PW&channel=1",
    "rtsp://HOST/0/admin:PW/main",
    "rtsp://HOST/live;pwd=PW",
    "http://admin:PW@HOST/mjpg",
    "http://HOST/v?u=a&p=PW",
    "http://HOST/videostream.cgi?loginuse=admin&loginpas=PW&rate=0",
    "http://HOST/v?PW",
    "http://HOST/v?channel=PW",
    "http://HOST/v?unheardof=PW&channel=1",
    "http://HOST/v#PW",
    "https://HOST/v?auth=admin:PW",
    "rtps://admin:PW@HOST/live",
    "rtsp:/admin:PW@HOST/live",
    "rtsp//admin:PW@HOST/live",
    "admin:PW@HOST/live",
]
BEGIN, END = "Zq9", "Kw7"  # a part that is shown is found too
passwords = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=10).map(
    lambda inner: f"{BEGIN}{inner}{END}"
)
uris = st.builds(
    lambda place, password: place.replace("HOST", HOST).replace("PW", password),
    st.sampled_from(PLACES),
    passwords,
)


def assert_hidden(text: str, uri: str) -> None:
    assert BEGIN not in text, uri
    assert END not in text, uri


@settings(max_examples=500, deadline=None)
@given(uris)
def test_names_and_errors_of_sources(uri: str) -> None:
    assert_hidden(redact(uri), uri)
    assert redact(redact(uri)) == redact(uri)
    assert_hidden(redact_within(f"cannot open '{uri}': no answer"), uri)
    try:
        assert_hidden(make_source(SourceSettings(uri=uri)).name, uri)
    except PiDetectorError as error:
        assert_hidden(str(error), uri)


class StopsSoon(threading.Event):
    """Set once the run has asked some times: after the first try to open the source."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self._left = patience

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


class SignalsOfTheTest:
    """In the place of ``Signals``, whose handlers are the process's."""

    def __init__(self, *, reloads: bool = False) -> None:
        self.stop = StopsSoon(4)

    def on_hangup(self, action: Callable[[], None]) -> None:
        pass


COMMANDS = [
    ["config", "show", "--set", "source.uri=URI"],
    ["config", "check", "--set", "source.uri=URI"],
    ["config", "check", "--set", "source.width=URI"],
    ["config", "show", "--set", "URI"],
    ["config", "show", "--set", "model.path=URI"],
    ["run", "--source", "URI", "--set", "recovery.mode=off"],
    ["run", "--source", "URI", "--set", "recovery.mode=always", "-v"],
    ["run", "URI"],
    ["run", "--frames", "URI"],
    ["detect", "URI"],
    ["replay", "URI"],
    ["tune", "URI"],
    ["bench", "--source", "URI", "--starts", "0", "--set", "source.isolation=off"],
    ["models", "verify", "URI"],
]
SERVICES = [
    "ntfy://HOST/PW",
    "ntfy://PW@HOST/topic",
    "json://me:PW@HOST/",
    "json://HOST/?+X-Token=PW",
    "mailto://me:PW@HOST?from=a@b.c&to=d@e.f",
    "tgram://123456789:PWPWPWPWPWPWPWPWPWPW/PW",
    "mqtt://me:PW@HOST/PW",
    "heliograph://PW",
    "PW",
    "http://me:PW@HOST/hook",
    "http://HOST/hook?token=PW",
    "http://HOST/hook?PW",
    "http://HOST/PW%20PW/",
    "http://me:PW@/",
]
# Of a password in a URL, percent-encoded as docs/notify.md has it, and what any program accepts.
service_urls = st.builds(
    lambda place, password: place.replace("HOST", HOST).replace("PW", quote(password, safe="")),
    st.sampled_from(SERVICES),
    passwords,
)
SERVICE_COMMANDS = [
    ["config", "show"],
    ["config", "check"],
    ["notify", "test", "phone"],
    ["notify", "test", "phone", "-v"],
    ["doctor"],
    ["run", "--source", "demo:", "--frames", "4", "--set", "output.stdout=none", "-v"],
    ["config", "show", "--set", "notify.phone.urls=URI"],
]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(uri=uris, command=st.sampled_from(COMMANDS))
def test_outputs_of_commands(
    uri: str,
    command: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PI_DETECTOR__SOURCE__ISOLATION", "off")
    monkeypatch.setenv("PI_DETECTOR__OUTPUT__LOG", str(folder / "log"))
    monkeypatch.setenv("PI_DETECTOR__METRICS__TEXTFILE", str(folder / "pi.prom"))
    for module in ("run", "detect", "replay"):
        monkeypatch.setattr(f"pi_detector.cli.{module}.Signals", SignalsOfTheTest)

    main([word.replace("URI", uri) for word in command])

    printed = capfd.readouterr()
    assert_hidden(printed.out + printed.err, uri)
    for file in filter(Path.is_file, folder.rglob("*")):
        assert_hidden(file.read_text(), uri)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(uri=service_urls, secret=passwords, command=st.sampled_from(SERVICE_COMMANDS))
def test_outputs_about_services(
    uri: str,
    secret: str,
    command: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    file = folder / "held" / "config.toml"
    file.parent.mkdir()
    rule = {"urls": [uri], "secret": secret + "0123456789", "timeout_s": 1}
    file.write_text(tomli_w.dumps({"notify": {"phone": rule}, "events": {"min_hits": 1}}))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PI_DETECTOR__OUTPUT__LOG", str(folder / "log"))
    monkeypatch.setattr("pi_detector.cli.run.Signals", SignalsOfTheTest)

    main([*(word.replace("URI", uri) for word in command), "--config", str(file)])

    printed = capfd.readouterr()
    assert_hidden(printed.out + printed.err, f"{command} {uri}")
    for found in filter(Path.is_file, folder.rglob("*")):
        if found != file:
            assert_hidden(found.read_bytes().decode("utf-8", "replace"), f"{command} {uri}")


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (["--source", "rtsp://a:pw@127.0.0.1:9/"], True),
        (["--set", "source.uri=rtsp://a:pw@127.0.0.1:9/"], True),
        (["--source", "rtsp://127.0.0.1:9/live"], False),
        (["--set", "source.uri=rtsp://a:${secret:x}@127.0.0.1:9/"], False),
    ],
)
def test_a_password_on_the_command_line_is_warned_of(
    options: list[str], warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "run" if options[0] == "--source" else "detect"
    arguments = [command, *options, *(["/nowhere"] if command == "detect" else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pi_detector.cli.run.Signals", SignalsOfTheTest)
        patch.setattr("pi_detector.cli.detect.Signals", SignalsOfTheTest)
        patch.setenv("PI_DETECTOR__SOURCE__ISOLATION", "off")
        main(arguments)
    assert ("see the password on the command line" in capsys.readouterr().err) is warned
