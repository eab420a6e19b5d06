"""The doctor's checks of the machine, on file systems made for them."""

from pathlib import Path

import pytest

from pi_detector.cli import doctor_host
from pi_detector.cli.findings import Level, fail, ok
from pi_detector.telemetry import sensors


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_lines_read_level_what_finding_fix() -> None:
    assert str(ok("clock", "synchronized")) == "ok    clock: synchronized"
    assert str(fail("disk", "full", "empty it")) == "fail  disk: full - empty it"


def test_every_sensor_may_be_absent(tmp_path: Path) -> None:
    findings = list(doctor_host.host_findings(tmp_path))
    whats = [finding.what for finding in findings]
    assert whats == [
        "kernel",
        "board",
        "throttling",
        "temperature",
        "CPU governor",
        "clock",
        "isolation",
    ]
    for finding in findings[2:5]:
        assert finding.level is Level.OK
        assert "not present on this device" in finding.finding


def test_what_the_kernel_can_hold_off() -> None:
    whole = doctor_host.confinement(["no new privileges", "Landlock 4 (files)", "seccomp"])
    assert (whole.level, whole.finding) == (
        Level.OK,
        "no new privileges, Landlock 4 (files), seccomp",
    )
    part = doctor_host.confinement(["no new privileges", "seccomp"])
    assert part.level is Level.WARN
    assert "the kernel has no Landlock" in part.finding


@pytest.mark.parametrize(
    ("word", "level", "said"),
    [
        ("0x0", Level.OK, "none since boot"),
        ("0", Level.OK, "none since boot"),
        ("0x50000", Level.WARN, "since boot: under-voltage, throttled"),
        ("0x50005", Level.WARN, "now: under-voltage, throttled"),
        ("80008", Level.WARN, "now: soft temperature limit"),
        ("error=1", Level.WARN, "unexpected firmware reply 'error=1'"),
        (None, Level.OK, "sensor not present on this device"),
    ],
)
def test_throttling_word(word: str | None, level: Level, said: str) -> None:
    finding = doctor_host.throttling(word)
    assert (finding.level, finding.finding) == (level, said)


def test_throttling_word_of_the_firmware_driver(tmp_path: Path) -> None:
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")
    assert sensors.throttled_word(tmp_path) == "50000"


@pytest.mark.parametrize(
    ("temp", "level"), [("45277", Level.OK), ("71000", Level.WARN), ("83000", Level.WARN)]
)
def test_temperature_of_the_processor_zone(tmp_path: Path, temp: str, level: Level) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "acpitz\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "99000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", temp + "\n")
    finding = doctor_host.temperature(tmp_path)
    assert finding.level is level
    assert f"{int(temp) / 1000:.0f} °C" in finding.finding


@pytest.mark.parametrize(("name", "level"), [("ondemand", Level.OK), ("powersave", Level.WARN)])
def test_governor(tmp_path: Path, name: str, level: Level) -> None:
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", name + "\n")
    assert doctor_host.governor(tmp_path).level is level


def test_board(tmp_path: Path) -> None:
    assert sensors.pi_model(tmp_path) is None
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    assert doctor_host.board(tmp_path).finding == "Raspberry Pi 4 Model B Rev 1.4"


def test_clock_that_drifts_is_a_warning() -> None:
    assert doctor_host.clock(synchronized=True).level is Level.OK
    assert doctor_host.clock(synchronized=False).level is Level.WARN


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    finding = doctor_host.disk_space(tmp_path / "a/b")
    assert f"MB free for {tmp_path / 'a/b'}" in finding.finding
