"""The service as it runs: readiness, reload, secrets, instances, settings that are wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import valid
from machine import Machine, drop_in, wait_until

UNIT = "pi-detector.service"
SETTINGS = "/etc/pi-detector/config.toml"
BY_HAND = "/tmp/${secret:folder}"  # a setting that needs a secret


SHIPPED = (Path(__file__).parents[3] / "systemd/config.toml").read_text()
DEMO = SHIPPED.replace('uri = "auto"', 'uri = "demo:"')


@pytest.fixture(autouse=True)
def running(machine: Machine) -> None:
    """Each test begins with a running service, on the demo, and else as shipped."""
    if machine.read(SETTINGS) != DEMO:
        machine.write(SETTINGS, DEMO)
    machine.run(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


def test_as_shipped_it_waits_for_a_camera(machine: Machine) -> None:
    machine.write(SETTINGS, SHIPPED)
    machine.run(f"systemctl restart {UNIT}")
    wait_until(lambda: "auto reopening" in machine.show(UNIT, "StatusText"), 20)
    assert "no camera found; plug one in" in machine.messages(UNIT)
    assert machine.show(UNIT, "ActiveState") == "active"


def test_it_says_when_it_is_ready(machine: Machine) -> None:
    assert machine.show(UNIT, "Type") == "notify"
    assert machine.show(UNIT, "ActiveState") == "active"
    assert machine.show(UNIT, "UnitFileState") == "enabled"
    wait_until(lambda: "frames/s" in machine.show(UNIT, "StatusText"), 20)
    assert machine.show(UNIT, "StatusText").startswith("demo live")


def test_standard_output_is_silent(machine: Machine) -> None:
    texts = [
        entry["MESSAGE"]
        for entry in machine.journal(UNIT)
        if entry.get("_TRANSPORT") == "stdout" and entry["MESSAGE"].startswith("{")
    ]
    assert texts == []


def test_no_port_is_open(machine: Machine) -> None:
    processes = machine.out(f"cat /sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs").split()
    assert str(machine.main_pid(UNIT)) in processes
    holders = machine.out("ss --no-header --tcp --udp --all --numeric --processes")
    assert not [pid for pid in processes if f"pid={pid}," in holders]
    with_port = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(9)"
    machine.run(f'systemd-run --unit=with-port python3 -c "{with_port}"')
    stranger = f"pid={machine.main_pid('with-port')},"
    wait_until(lambda: stranger in machine.out("ss --tcp --all --numeric --processes"), 5)


READ_LINE = """python3 -c "
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect('/run/pi-detector/records.sock')
print(connection.makefile().readline())
" """


def test_its_group_reads_records_at_the_socket_and_others_do_not(machine: Machine) -> None:
    socket = '[output]\nsocket = "$RUNTIME_DIRECTORY/records.sock"\n'
    machine.write(SETTINGS, DEMO.replace("[output]\n", socket))
    machine.run("useradd --groups pi-detector robot; useradd stranger")
    machine.run(f"systemctl restart {UNIT}")
    wait_until(lambda: valid.record(machine.out(READ_LINE, user="robot"))["type"] != "", 20)
    refused = machine.run(READ_LINE, user="stranger", check=False)
    assert "PermissionError" in refused.stderr
    machine.run(f"systemctl kill --signal=KILL {UNIT}; systemctl restart {UNIT}")
    wait_until(lambda: machine.run(READ_LINE, user="robot", check=False).returncode == 0, 20)


def test_a_reload_with_a_broken_file_fails_and_says_why(machine: Machine) -> None:
    pid = machine.main_pid(UNIT)
    machine.write(SETTINGS, '[detection]\nmin_scorre = 0.5\n[recovery]\nmode = "always"\n')
    reload = machine.run(f"systemctl reload {UNIT}", check=False)
    assert reload.returncode != 0
    assert f"{SETTINGS}:2" in machine.messages(UNIT)
    assert "min_score" in machine.messages(UNIT)
    # Where whoever reads "Job failed" is sent to.
    wait_until(lambda: "reload refused" in machine.show(UNIT, "StatusText"), 20)
    assert "min_scorre" in machine.out(f"systemctl status --no-pager {UNIT}")
    assert (machine.main_pid(UNIT), machine.show(UNIT, "ActiveState")) == (pid, "active")


def test_by_hand_secrets_are_for_root_and_for_who_runs_as_the_service(machine: Machine) -> None:
    machine.write("/etc/pi-detector/credentials/folder", "by-hand", mode=0o600)
    machine.write(SETTINGS, DEMO.replace("[output]\n", f"[output]\nsnapshots = '{BY_HAND}'\n"))
    command = "pi-detector run --frames 3 --set output.stdout=jsonl"
    assert '"type":"detections"' in machine.out(command)
    machine.run("rm -r /tmp/by-hand")

    refused = machine.run(command, user="nobody", check=False)
    assert refused.returncode == os.EX_NOPERM
    assert "run the command with sudo" in refused.stderr

    # As docs/install.md has it: the user of the service, without the rights of root.
    folder = "LoadCredential=secret:/etc/pi-detector/credentials"
    text = machine.out(f"systemd-run --quiet --pipe --uid=pi-detector -p {folder} {command}")
    assert '"type":"detections"' in text
    assert machine.out("stat --format=%U /tmp/by-hand") == "pi-detector"


def test_a_reload_brings_settings_into_force(machine: Machine) -> None:
    pid = machine.main_pid(UNIT)
    machine.write(SETTINGS, machine.read(SETTINGS).replace('stdout = "none"', 'stdout = "jsonl"'))
    machine.run(f"systemctl reload {UNIT}")
    wait_until(lambda: '"type":"detections"' in machine.messages(UNIT), 20)
    assert machine.main_pid(UNIT) == pid


def test_metrics_are_in_memory_readable_and_gone_with_the_service(machine: Machine) -> None:
    file = "/run/pi-detector/pi-detector.prom"
    machine.write(
        SETTINGS,
        f"{DEMO}\n[metrics]\ntextfile = '$RUNTIME_DIRECTORY/pi-detector.prom'\ninterval_s = 1\n"
        "[telemetry]\ninterval_s = 1\n",
    )
    machine.run(f"systemctl restart {UNIT}")
    for name in ("frames_processed_total", "process_start_time_seconds", "host_disk_free_bytes"):
        sample = f"\npi_detector_{name} "
        wait_until(lambda sample=sample: sample in machine.out(f"cat {file}", user="nobody"), 20)
    assert machine.out(f"stat --file-system --format=%T {file}") == "tmpfs"
    machine.run(f"systemctl kill --signal=KILL {UNIT}; systemctl stop {UNIT}")
    machine.run(f"test ! -e {file}")


def test_wrong_settings_are_not_tried_again(machine: Machine) -> None:
    machine.write(SETTINGS, "[source]\nurl = 'demo:'\n")
    assert machine.run(f"systemctl restart {UNIT}", check=False).returncode != 0
    assert machine.show(UNIT, "ExecMainStatus") == "78"
    assert machine.show(UNIT, "ActiveState") == "failed", "not waiting for a restart"


def test_a_killed_daemon_is_started_again(machine: Machine) -> None:
    pid = machine.main_pid(UNIT)
    machine.run(f"kill -KILL {pid}")
    wait_until(
        lambda: (
            machine.main_pid(UNIT) not in {0, pid} and machine.show(UNIT, "ActiveState") == "active"
        ),
        30,
    )
    assert machine.show(UNIT, "NRestarts") == "1"


def test_it_stops_in_time(machine: Machine) -> None:
    machine.run(f"systemctl stop {UNIT}", timeout_s=15)
    assert machine.show(UNIT, "Result") == "success"
    assert "frames captured" in machine.messages(UNIT)


def test_secrets_reach_the_service_alone(machine: Machine) -> None:
    machine.write("/etc/pi-detector/credentials/folder", "s3cret\n", mode=0o600)
    machine.write(
        SETTINGS,
        '[output]\nstdout = "none"\nsnapshots = "/var/lib/pi-detector/${secret:folder}"\n',
    )
    machine.run(f"systemctl restart {UNIT}")
    wait_until(
        lambda: machine.run("test -d /var/lib/pi-detector/s3cret", check=False).returncode == 0, 20
    )
    machine.run(f"systemctl reload {UNIT}")
    for place in (f"/run/credentials/{UNIT}/secret_folder", "/etc/pi-detector/credentials/folder"):
        assert machine.run(f"cat {place}", user="nobody", check=False).returncode != 0
    assert "s3cret" not in machine.out(f"cat /proc/{machine.main_pid(UNIT)}/cmdline")


def test_the_folder_of_secrets_comes_back_at_boot(machine: Machine) -> None:
    machine.run("rm -r /etc/pi-detector/credentials")
    machine.run("systemd-tmpfiles --create")
    assert machine.out("stat -c '%a %U' /etc/pi-detector/credentials") == "700 root"
    machine.run(f"systemctl restart {UNIT}")


def test_instances_have_settings_and_folders_of_their_own(machine: Machine) -> None:
    machine.write(
        "/etc/pi-detector/front-door.toml",
        '[source]\nuri = "demo:"\n[output]\nstdout = "none"\nlog = "$LOGS_DIRECTORY"\n',
    )
    machine.run("systemctl start pi-detector@front-door.service")
    assert machine.main_pid("pi-detector@front-door.service") != machine.main_pid(UNIT) != 0
    wait_until(lambda: machine.out("ls /var/log/pi-detector/front-door") != "", 20)
    owner = machine.out("stat -c '%U %a' /var/lib/pi-detector/front-door")
    assert owner == "pi-detector 750"
    machine.run("systemctl reload pi-detector@front-door.service")
    machine.run("systemctl stop pi-detector@front-door.service")
    assert machine.show(UNIT, "ActiveState") == "active"


def test_the_clock_is_told_from_outside_the_sandbox(machine: Machine) -> None:
    """The sandbox forbids adjtimex: what timedated says counts."""
    machine.write("/run/told", "#!/bin/sh\necho yes\n", mode=0o755)
    machine.write(SETTINGS, '[source]\nuri = "demo:"\n')
    with drop_in(machine, UNIT, "BindReadOnlyPaths=/run/told:/usr/bin/timedatectl"):
        machine.run(f"systemctl restart {UNIT}")
        wait_until(lambda: '"clock_synchronized":true' in machine.messages(UNIT), 20)
    machine.run(f"systemctl restart {UNIT}")
    pid = str(machine.main_pid(UNIT))
    truth = machine.out("timedatectl show --property=NTPSynchronized --value") == "yes"

    def told() -> list[bool]:
        return [
            json.loads(entry["MESSAGE"])["clock_synchronized"]
            for entry in machine.journal(UNIT)
            if entry.get("_PID") == pid and '"detections"' in entry["MESSAGE"]
        ]

    wait_until(lambda: len(told()) > 20, 20)
    assert told()[-1] == truth
