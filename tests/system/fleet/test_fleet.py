"""A fleet from its first installation to its removal. The order counts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from fleet import ANSIBLE, MODELS, PLAYBOOKS, SETTINGS, UNIT, Fleet, Run, make_bundle
from given import Given
from machine import Machine


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


def state(machine: Machine) -> tuple[str, int]:
    """What a roll-out may change on a device, and the daemon's process."""
    command = (
        f"sha256sum {SETTINGS}*; ls {MODELS}; ls -l /etc/pi-detector/credentials; "
        "dpkg-query --show pi-detector"
    )
    return machine.out(command, check=False), machine.main_pid(UNIT)


def states(fleet: Fleet) -> dict[str, tuple[str, int]]:
    return {name: state(machine) for name, machine in fleet.devices.items()}


def pids_of(fleet: Fleet) -> dict[str, int]:
    return {name: machine.main_pid(UNIT) for name, machine in fleet.devices.items()}


def in_force(machine: Machine) -> str:
    """The SHA-256 of the model that the daemon detects with."""
    pid = machine.main_pid(UNIT)
    command = "journalctl --lines=1 --output=cat --output-fields=DETECTOR_MODEL_SHA256"
    return machine.out(f"{command} DETECTOR_EVENT=model_live _PID={pid}")


def retained(broker: int) -> set[str]:
    """The topics of messages that the broker keeps."""
    command = ["mosquitto_sub", "-p", str(broker), "-t", "pi-detector/#", "-F", "%t", "-W", "2"]
    done = subprocess.run(
        [*command, "--retained-only"], capture_output=True, text=True, check=False
    )
    return set(done.stdout.split())


def assert_rolled_out(run: Run) -> None:
    assert run.rc == 0, run.output
    assert set(run.tasks) == {"canary", "second"}


def test_the_playbooks_pass_the_strictest_profile() -> None:
    done = subprocess.run(
        [ANSIBLE / "ansible-lint", "--nocolor"],
        cwd=PLAYBOOKS,
        env={"PATH": f"{ANSIBLE}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/root"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_check_of_a_bare_device_changes_nothing(fleet: Fleet) -> None:
    run = fleet.play("rollout.yml", "--check", "--diff")
    assert_rolled_out(run)
    for name, machine in fleet.devices.items():
        assert run.tasks[name]["changed"] == 1, "it tells of the package"
        assert machine.run("test -e /etc/pi-detector", check=False).returncode == 1


def test_installed(fleet: Fleet) -> None:
    assert_rolled_out(fleet.play("rollout.yml"))
    for machine in fleet.devices.values():
        assert machine.show(UNIT, "ActiveState") == "active"
        assert machine.show(UNIT, "UnitFileState") == "enabled"
        assert "demo live" in machine.show(UNIT, "StatusText")
        assert machine.read("/etc/pi-detector/credentials/broker") == "the password"
        assert machine.files("/etc/pi-detector/credentials/broker").popitem()[1] == "f 600 0:0"


def test_a_second_time_changes_nothing(fleet: Fleet) -> None:
    before = states(fleet)
    run = fleet.play("rollout.yml")
    assert_rolled_out(run)
    assert {name: tasks["changed"] for name, tasks in run.tasks.items()} == dict.fromkeys(before, 0)
    assert states(fleet) == before


def test_settings_reach_a_device_without_a_restart(fleet: Fleet) -> None:
    pids = pids_of(fleet)
    fleet.own["second"] = {"pi_detector_host_settings": {"detection": {"min_score": 0.7}}}
    checked = fleet.play("rollout.yml", "--check", "--diff")
    assert "+min_score = 0.7" in checked.output
    assert {name: tasks["changed"] for name, tasks in checked.tasks.items()} == {
        "canary": 0,
        "second": 1,
    }
    run = fleet.play("rollout.yml")
    assert_rolled_out(run)
    assert run.tasks["canary"]["changed"] == 0
    assert "min_score = 0.7" in fleet.devices["second"].read(SETTINGS)
    assert pids_of(fleet) == pids


def test_settings_with_an_error_are_refused(fleet: Fleet) -> None:
    before = states(fleet)
    fleet.variables["pi_detector_group_settings"] = {"detection": {"min_scroe": 0.5}}
    try:
        run = fleet.play("rollout.yml")
    finally:
        del fleet.variables["pi_detector_group_settings"]
    assert run.rc != 0
    assert "did you mean `min_score`?" in run.output
    assert "nothing was put back" in run.output
    assert states(fleet) == before


def test_a_model_of_another_sha256_is_refused_before_a_device_is_touched(
    fleet: Fleet, bundles: Path
) -> None:
    before = states(fleet)
    bundle, sha256 = make_bundle(bundles, "tampered", tail=b"tampered")
    fleet.model("tampered", bundle, "0" * 64)
    run = fleet.play("rollout.yml")
    assert run.rc != 0
    assert sha256 in run.output
    assert "Ask for the device's architecture" not in run.output
    assert states(fleet) == before


def test_a_damaged_model_is_refused_by_the_canary(fleet: Fleet, bundles: Path) -> None:
    before = states(fleet)
    fleet.model("damaged", *make_bundle(bundles, "damaged", cut=2_000_000))
    run = fleet.play("rollout.yml")
    assert run.rc != 0
    assert "nothing was put back" in run.output
    assert run.tasks["canary"]["failed"] == 1
    assert states(fleet) == before


def test_a_good_model_canary_first(fleet: Fleet, bundles: Path) -> None:
    pids = pids_of(fleet)
    # As a roll-out leaves it that was interrupted in the middle.
    second = fleet.devices["second"]
    second.run(f"cp {SETTINGS} {SETTINGS}.proven && sed -i '1i # unproven' {SETTINGS}")
    bundle, sha256 = make_bundle(bundles, "good", tail=b"good")
    fleet.model("good", bundle, sha256)
    run = fleet.play("rollout.yml")
    assert_rolled_out(run)
    for machine in fleet.devices.values():
        assert in_force(machine) == sha256
        assert machine.out(f"ls {MODELS}") == f"good-{sha256[:12]}"
    assert pids_of(fleet) == pids
    assert "# unproven" not in second.read(f"{SETTINGS}.previous")
    # All of the canary, its health after the soak too, came before anything on the second.
    assert run.output.rindex("[canary]") < run.output.index(
        "[second]", run.output.index("Roll out")
    )


def test_a_model_that_is_no_good_in_service_goes_back(fleet: Fleet, bundles: Path) -> None:
    """It is whole and runs, but has other labels than those that the settings ask for."""
    good = in_force(fleet.devices["canary"])
    before = states(fleet)
    bundle, sha256 = make_bundle(bundles, "unfit", tail=b"unfit")
    for file in (bundle / "labels.txt", bundle / "manifest.toml"):
        file.write_text(file.read_text().replace("person", "human"))
    fleet.model("unfit", bundle, sha256)
    fleet.variables["pi_detector_group_settings"] = {"detection": {"labels": ["person"]}}
    try:
        run = fleet.play("rollout.yml")
    finally:
        del fleet.variables["pi_detector_group_settings"]
    assert run.rc != 0
    assert "went back to what worked before" in run.output
    assert "the model has no label" in run.output
    assert run.tasks["canary"]["failed"] == 1
    assert state(fleet.devices["second"]) == before["second"]
    canary = fleet.devices["canary"]
    assert in_force(canary) == good
    assert state(canary)[1] == before["canary"][1], "it never stopped"
    assert f"good-{good[:12]}" in canary.read(SETTINGS)


def test_a_package_that_does_not_start_goes_back(
    fleet: Fleet, given: Given, tmp_path: Path
) -> None:
    before = states(fleet)
    own = {
        name: fleet.variables[name] for name in ("pi_detector_version", "pi_detector_package_dir")
    }

    def change(tree: Path) -> None:
        unit = tree / "usr/lib/systemd/system/pi-detector.service"
        text = re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/false", unit.read_text())
        unit.write_text(text)

    fleet.variables["pi_detector_version"] = "99.0"
    fleet.variables["pi_detector_package_dir"] = str(tmp_path)
    release = given.deb.name.partition("+")[2]
    given.repack(
        tmp_path / f"pi-detector_99.0+{release}",
        lambda version: version.replace(own["pi_detector_version"], "99.0"),
        change,
    )
    try:
        run = fleet.play("rollout.yml")
    finally:
        fleet.variables.update(own)
    assert run.rc != 0
    assert "went back to what worked before" in run.output
    assert state(fleet.devices["second"]) == before["second"]
    canary = fleet.devices["canary"]
    assert state(canary)[0] == before["canary"][0]
    assert canary.show(UNIT, "ActiveState") == "active"
    assert " live, " in canary.show(UNIT, "StatusText")


def test_back_by_hand(fleet: Fleet, bundles: Path) -> None:
    street = fleet.devices["canary"].out("pi-detector models show | sed -n 's/^sha256 *//p'")
    assert_rolled_out(fleet.play("rollback.yml"))
    for machine in fleet.devices.values():
        assert in_force(machine) == street
        assert MODELS not in machine.read(SETTINGS)


def test_removed(fleet: Fleet, broker: int) -> None:
    assert {topic.split("/")[1] for topic in retained(broker)} >= {"canary", "second"}
    run = fleet.play("remove.yml", "--limit", "second", "-e", '{"pi_detector_purge": true}')
    assert run.rc == 0
    second = fleet.devices["second"]
    left = second.out(
        "ls -d /etc/pi-detector /opt/pi-detector* /var/lib/pi-detector "
        f"/var/cache/pi-detector {MODELS} || true"
    )
    assert left == ""
    assert second.run("getent passwd pi-detector", check=False).returncode == 2
    assert fleet.devices["canary"].show(UNIT, "ActiveState") == "active"
    assert {topic.split("/")[1] for topic in retained(broker)} == {"canary"}
