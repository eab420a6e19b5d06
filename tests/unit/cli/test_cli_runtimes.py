"""What commands do about a runtime that is installed and cannot be used."""

import logging

import pytest

from pi_detector.cli import doctor_software, tune
from pi_detector.cli.findings import Level
from pi_detector.detector import runtime
from pi_detector.errors import RuntimeMissingError


@pytest.fixture
def broken(monkeypatch):
    """Let both runtimes be installed, and some be broken."""
    names = set()

    def load(name):
        if name in names:
            raise RuntimeMissingError(f"{name} cannot be used: it is old; to install it: pay")

    monkeypatch.setattr(runtime, "installed_runtimes", lambda: ["litert", "tflite"])
    monkeypatch.setattr(
        runtime, "available_runtimes", lambda: {"litert": "2.3.0", "tflite": "2.14.0"}
    )
    monkeypatch.setattr(runtime, "load_runtime", load)
    return names


def test_tune_measures_the_others_with_a_warning(broken, caplog):
    broken.add("tflite")
    with caplog.at_level(logging.WARNING):
        assert tune._usable_runtimes() == ["litert"]
    assert [record.getMessage() for record in caplog.records] == [
        "not measured: tflite cannot be used: it is old; to install it: pay"
    ]


def test_tune_fails_where_none_is_left(broken):
    broken |= {"litert", "tflite"}
    with pytest.raises(RuntimeMissingError, match="litert cannot be used"):
        tune._usable_runtimes()


def test_doctor_warns_of_it(broken):
    broken.add("tflite")
    litert, tflite = doctor_software.runtimes()
    assert (litert.level, litert.finding) == (Level.OK, "litert 2.3.0")
    assert tflite.level is Level.WARN
    assert "to install it: pay" in str(tflite)


def test_doctor_fails_without_any(monkeypatch):
    monkeypatch.setattr(runtime, "installed_runtimes", list)
    monkeypatch.setattr(runtime, "available_runtimes", dict)
    (finding,) = doctor_software.runtimes()
    assert finding.level is Level.FAIL
    assert "no runtime for .tflite models is installed; to install it: " in finding.finding
