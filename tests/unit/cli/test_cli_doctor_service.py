"""What the doctor says of the service, from systemd's answers, and of packages."""

from __future__ import annotations

import pytest

from pi_detector.cli.doctor_packages import unfit
from pi_detector.cli.doctor_service import units
from pi_detector.cli.findings import Finding, Level

# As systemctl of systemd 252 answers about the unit that is installed.
GOOD = {
    "Id": "pi-detector.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "Result": "success",
    "StatusText": "12.0 frames/s",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "DropInPaths": "",
    "User": "pi-detector",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "WatchdogUSec": "30s",
    "Restart": "on-failure",
}


def answer(**changed: str) -> str:
    return "".join(f"{name}={value}\n" for name, value in (GOOD | changed).items())


def only(shown: str) -> Finding:
    (finding,) = units(shown)
    return finding


def test_a_unit_as_it_is_installed() -> None:
    finding = only(answer())
    assert str(finding) == "ok    service pi-detector: active: 12.0 frames/s"


def test_no_unit() -> None:
    assert not list(units(""))
    assert not list(units("Id=pi-detector.service\nLoadState=not-found\nActiveState=inactive\n"))


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({"LoadState": "masked"}, Level.FAIL, "masked"),
        ({"LoadState": "bad-setting"}, Level.FAIL, "bad-setting"),
        ({"ActiveState": "failed", "Result": "exit-code"}, Level.FAIL, "journalctl -u pi-detector"),
        ({"ActiveState": "inactive", "StatusText": ""}, Level.WARN, "systemctl start"),
        ({"UnitFileState": "disabled"}, Level.WARN, "does not start at boot"),
        ({"StatusText": "reload refused: x.toml:3: unknown"}, Level.WARN, "x.toml:3: unknown"),
    ],
)
def test_a_unit_that_does_not_work(changed: dict[str, str], level: Level, words: str) -> None:
    finding = only(answer(**changed))
    assert finding.level is level
    assert words in f"{finding.finding} {finding.fix}"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"User": "root"}, "runs as root"),
        ({"User": ""}, "runs as root"),
        ({"NoNewPrivileges": "no"}, "privileges"),
        ({"ProtectSystem": "no"}, "outside its folders"),
        ({"WatchdogUSec": "0"}, "no watchdog"),
        ({"Restart": "no"}, "not restarted"),
    ],
)
def test_a_unit_that_was_weakened(changed: dict[str, str], words: str) -> None:
    drop_in = "/etc/systemd/system/pi-detector.service.d/override.conf"
    first, second = units(answer(**changed, DropInPaths=drop_in))
    assert first.level is Level.WARN
    assert words in first.finding
    assert drop_in in first.finding
    assert second.level is Level.OK


def test_a_unit_that_changed_on_disk() -> None:
    first, _ = units(answer(NeedDaemonReload="yes"))
    assert first.level is Level.WARN
    assert "daemon-reload" in first.fix


def test_each_instance_is_judged() -> None:
    two = answer() + "\n" + answer(Id="pi-detector@porch.service", ActiveState="failed")
    assert [finding.level for finding in units(two)] == [Level.OK, Level.FAIL]
    assert "pi-detector@porch" in list(units(two))[1].what


@pytest.mark.parametrize(
    ("required", "version", "fits"),
    [
        ('starlette<2,>=1.8; extra == "web"', "1.8", True),
        ('starlette<2,>=1.8; extra == "web"', "1.10.1", True),
        ('starlette<2,>=1.8; extra == "web"', "1.0.0", False),
        ('starlette<2,>=1.8; extra == "web"', "2.0rc1", False),
        ("ai-edge-litert==2.3.0; platform_machine == 'x86_64'", "2.3.0", True),
        ("ai-edge-litert==2.3.0; platform_machine == 'x86_64'", "2.3.1", False),
        ("opencv-python-headless<4.11,>=4.10.0.84", "4.10.0.82", False),
        ('numpy<2; python_version == "3.11" and extra == "tflite"', "2.1", True),
        ("numpy>=1.24", None, True),
    ],
)
def test_versions(required: str, version: str | None, fits: bool) -> None:
    found = list(unfit([required], lambda _: version))
    assert (not found) == fits
