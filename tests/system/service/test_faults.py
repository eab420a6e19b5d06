"""Faults that are made for real, under a real systemd: detection resumes, or the reason is clear.

Lines that begin with MEASURED are the figures of docs/reliability.md.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
import valid
from machine import Machine, drop_in, wait_until

UNIT = "pi-detector.service"
SETTINGS = "/etc/pi-detector/config.toml"
STATE = "/var/lib/pi-detector"
LOGS = "/var/log/pi-detector"
BASE = f"""
[source]
uri = "demo:"
[output]
stdout = "none"
snapshots = "{STATE}/seen"
snapshot_interval_s = 0
snapshot_keep = 20
snapshot_width = 320
log = "{LOGS}"
log_detections = true
[recovery]
mode = "always"
longest_delay_s = 2
"""
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def running(machine: Machine) -> Iterator[None]:
    """Each test begins with a service that detects, and no traces of the test before."""
    machine.write(SETTINGS, BASE)
    machine.run(f"systemctl stop {UNIT}; rm -rf {STATE}/* {LOGS}/*; systemctl reset-failed {UNIT}")
    machine.run(f"systemctl start {UNIT}")
    detects(machine)
    yield
    machine.run(f"umount {STATE}/seen {LOGS}", check=False)


def newest(machine: Machine) -> str:
    """The newest snapshot."""
    return machine.out(f"ls -t {STATE}/seen 2>/dev/null | head -n 1", check=False)


def detects(machine: Machine) -> float:
    """Seconds until there is a new snapshot: a frame went all the way."""
    before = newest(machine)
    return wait_until(lambda: newest(machine) not in {"", before}, PATIENCE_S, "no detection")


def state(machine: Machine) -> str:
    return machine.show(UNIT, "ActiveState")


def resources(machine: Machine) -> tuple[int, int, int]:
    """Threads, descriptors and resident KiB of the daemon."""
    pid = machine.main_pid(UNIT)
    status = machine.read(f"/proc/{pid}/status")
    threads = re.findall(r"Threads:\s+(\d+)", status)
    rss_kb = re.findall(r"VmRSS:\s+(\d+)", status)
    return int(threads[0]), int(machine.out(f"ls /proc/{pid}/fd | wc -l")), int(rss_kb[0])


def back_where_they_were(machine: Machine, before: tuple[int, int, int]) -> str:
    threads, descriptors, rss_kb = (
        now - then for now, then in zip(resources(machine), before, strict=True)
    )
    assert threads <= 0
    assert descriptors <= 0
    assert rss_kb < 20_000
    return f"threads {threads:+d}, descriptors {descriptors:+d}, RSS {rss_kb:+d} KiB"


def events(machine: Machine, name: str) -> list[dict[str, str]]:
    """Entries of the journal with DETECTOR_EVENT=name, of the process that runs now."""
    pid = machine.main_pid(UNIT)
    lines = machine.out(f"journalctl -o json DETECTOR_EVENT={name} _PID={pid}").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_the_journal_has_fields(machine: Machine) -> None:
    (started,) = events(machine, "started")
    assert "model street" in started["MESSAGE"]
    (live,) = events(machine, "source_live")
    assert live["DETECTOR_SOURCE"] == "demo"


def test_a_stopped_process_is_killed_by_the_watchdog_and_started_again(machine: Machine) -> None:
    with drop_in(machine, UNIT, "WatchdogSec=4s\nTimeoutAbortSec=2s\nRestartSec=1s"):
        machine.run(f"systemctl restart {UNIT}")
        detects(machine)
        pid = machine.main_pid(UNIT)
        machine.run(f"kill -STOP {pid}")
        seconds = wait_until(
            lambda: machine.main_pid(UNIT) not in {0, pid} and state(machine) == "active",
            PATIENCE_S,
        )
        seconds += detects(machine)
    assert re.search(r"[Ww]atchdog timeout", machine.messages(UNIT))
    print(f"MEASURED SIGSTOP, WatchdogSec=4: detects again after {seconds:.1f} s")


def test_kill_9(machine: Machine) -> None:
    pid = machine.main_pid(UNIT)
    machine.run(f"kill -KILL {pid}")
    seconds = wait_until(lambda: machine.main_pid(UNIT) not in {0, pid}, PATIENCE_S)
    seconds += detects(machine)
    print(f"MEASURED kill -9: detects again after {seconds:.1f} s, RestartSec=5 among them")


def test_a_full_disk_stops_pictures_and_not_detection(machine: Machine) -> None:
    machine.run(f"systemctl stop {UNIT}")
    machine.run(f"mkdir -p {STATE}/seen && mount -t tmpfs -o size=1m,mode=777 tmpfs {STATE}/seen")
    machine.run(f"systemctl start {UNIT}")
    detects(machine)
    before = resources(machine)
    machine.run(f"dd if=/dev/zero of={STATE}/seen/fill bs=4k", check=False)
    wait_until(lambda: bool(events(machine, "sink_failed")), PATIENCE_S)
    assert "No space left on device" in events(machine, "sink_failed")[0]["MESSAGE"]
    frames = logged(machine)
    wait_until(lambda: logged(machine) > frames, PATIENCE_S, "detection stood still")
    machine.run(f"rm {STATE}/seen/fill")
    seconds = wait_until(lambda: bool(events(machine, "sink_live")), PATIENCE_S)
    detects(machine)
    assert "results were lost" in events(machine, "sink_live")[0]["MESSAGE"]
    assert machine.out(f"find {STATE}/seen -name '.*.part'") == ""
    print(f"MEASURED disk full: back {seconds:.1f} s after there was room, "
          f"{back_where_they_were(machine, before)}")  # fmt: skip


def logged(machine: Machine) -> int:
    """Records of frames in the log; all of its lines are whole."""
    lines = machine.out(f"cat {LOGS}/records-*.jsonl 2>/dev/null", check=False).splitlines()
    return sum(valid.record(line)["type"] == "detections" for line in lines)


def test_a_log_folder_that_becomes_read_only(machine: Machine) -> None:
    machine.run(f"systemctl stop {UNIT}")
    machine.run(f"mount -t tmpfs -o size=8m,mode=777 tmpfs {LOGS}")
    machine.run(f"systemctl start {UNIT}")
    detects(machine)
    wait_until(lambda: logged(machine) > 0, PATIENCE_S)
    machine.run(f"mount -o remount,ro {LOGS}")
    wait_until(lambda: bool(events(machine, "sink_failed")), PATIENCE_S)
    assert "Read-only file system" in events(machine, "sink_failed")[0]["MESSAGE"]
    detects(machine)
    machine.run(f"mount -o remount,rw {LOGS}")
    seconds = wait_until(lambda: bool(events(machine, "sink_live")), PATIENCE_S)
    frames = logged(machine)
    wait_until(lambda: logged(machine) > frames, PATIENCE_S)
    print(f"MEASURED log folder read-only: back {seconds:.1f} s after it was writable")


def test_a_folder_that_cannot_be_written_at_the_start_is_waited_for(machine: Machine) -> None:
    machine.run(f"systemctl stop {UNIT}")
    machine.run(f"install -d -o root -m 755 {STATE}/log")
    machine.write(SETTINGS, BASE.replace(f'log = "{LOGS}"', f'log = "{STATE}/log"'))
    machine.run(f"systemctl start {UNIT}")
    detects(machine)
    assert "Permission denied" in events(machine, "sink_failed")[0]["MESSAGE"]
    machine.run(f"chown pi-detector {STATE}/log")
    wait_until(lambda: machine.out(f"ls {STATE}/log") != "", PATIENCE_S)


def test_a_model_that_was_damaged_between_restarts(machine: Machine) -> None:
    bundle = f"{STATE}/model"
    machine.run(
        f"cp -r /opt/pi-detector/lib/python3*/site-packages/pi_detector/models/street {bundle}"
    )
    machine.write(SETTINGS, f'{BASE}[model]\npath = "{bundle}"\n')
    machine.run(f"systemctl restart {UNIT}")
    detects(machine)
    machine.run(f"dd if=/dev/zero of={bundle}/model.tflite bs=1k seek=500 count=1 conv=notrunc")
    limits = "RestartSec=100ms\n[Unit]\nStartLimitBurst=3\n"
    with drop_in(machine, UNIT, limits):
        machine.run(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}", check=False)
        wait_until(lambda: state(machine) == "failed", PATIENCE_S)
        assert machine.show(UNIT, "ExecMainStatus") == "65"
        assert "SHA-256" in machine.messages(UNIT)
    machine.write(SETTINGS, BASE)
    machine.run(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    detects(machine)


def test_settings_broken_at_a_reload_leave_the_old_ones_in_force(machine: Machine) -> None:
    pid = machine.main_pid(UNIT)
    machine.write(SETTINGS, f"{BASE}[detection]\nmin_scorre = 0.9\n")
    machine.run(f"kill -HUP {pid}")  # past the check that systemctl reload makes
    wait_until(lambda: bool(events(machine, "reload_refused")), PATIENCE_S)
    wait_until(lambda: "min_scorre" in machine.show(UNIT, "StatusText"), PATIENCE_S)
    assert state(machine) == "active"
    detects(machine)
    machine.write(SETTINGS, BASE)
    machine.run(f"systemctl reload {UNIT}")
    wait_until(lambda: "min_scorre" not in machine.show(UNIT, "StatusText"), PATIENCE_S)
    assert machine.main_pid(UNIT) == pid


def test_a_thousand_reloads(machine: Machine) -> None:
    machine.run(f"systemctl reload {UNIT}")
    wait_until(lambda: bool(events(machine, "reloaded")), PATIENCE_S)
    before, pid = resources(machine), machine.main_pid(UNIT)
    machine.run(f"for _ in $(seq 1000); do kill -HUP {pid}; done")
    detects(machine)
    time.sleep(2)
    assert (machine.main_pid(UNIT), state(machine)) == (pid, "active")
    print(f"MEASURED 1000 x SIGHUP: {back_where_they_were(machine, before)}")
