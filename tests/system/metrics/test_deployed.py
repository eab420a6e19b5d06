"""What deploy/ holds for Prometheus and the broker, by the programs that read it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from paho.mqtt import client as paho

CHECKOUT = Path(__file__).resolve().parents[3]
DEPLOY = CHECKOUT / "deploy"
HERE = Path(__file__).parent
PATIENCE_S = 30.0


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_prometheus_takes_the_rules_and_its_settings() -> None:
    checked = promtool("check", "config", "--lint-fatal", DEPLOY / "prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should() -> None:
    tested = promtool("test", "rules", HERE / "alerts.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_is_tested_both_ways() -> None:
    rules = (DEPLOY / "prometheus/alerts.yml").read_text()
    names = [line.split()[-1] for line in rules.splitlines() if "- alert:" in line]
    tests = (HERE / "alerts.test.yml").read_text()
    assert len(names) > 8
    for name in names:
        assert tests.count(f"alertname: {name}}}") >= 1, f"{name} is never quiet"
        assert tests.count(f"alertname: {name}\n") >= 1, f"{name} never fires"


def refused(port: int, password: str) -> bool | None:
    """Whether the broker refuses this password; None while nobody answers."""
    answers: list[bool] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set("pi-detector", password)
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(reason.is_failure)
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return None
    client.loop_start()
    end = time.monotonic() + PATIENCE_S
    while not answers and time.monotonic() < end:
        time.sleep(0.02)
    client.loop_stop()
    return answers[0]


def test_the_broker_knows_its_password_alone(tmp_path: Path) -> None:
    """The script of the container, with its absolute paths below a folder of this test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    tmp_path.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "mqtt_password").write_text("correct horse: 'battery'\n")
    settings = (DEPLOY / "mosquitto/mosquitto.conf").read_text()
    for old, new in (
        ("listener 1883", f"listener {port} 127.0.0.1\nuser root"),
        ("/tmp/passwords", f"{tmp_path}/passwords"),
        ("/mosquitto/data/", f"{data}/"),
    ):
        assert old in settings
        settings = settings.replace(old, new)
    (tmp_path / "mosquitto.conf").write_text(settings)
    script = (DEPLOY / "mosquitto/start.sh").read_text()
    for old, new in (
        ("/tmp/passwords", f"{tmp_path}/passwords"),
        ("/run/secrets", str(tmp_path)),
        ("/mosquitto/config", str(tmp_path)),
        ("exec mosquitto", f"exec {shutil.which('mosquitto', path='/usr/sbin:/usr/bin')}"),
    ):
        assert old in script
        script = script.replace(old, new)
    with subprocess.Popen(["sh", "-c", script]) as broker:
        try:
            end = time.monotonic() + PATIENCE_S
            while (wrong := refused(port, "wrong")) is None and time.monotonic() < end:
                time.sleep(0.1)
            assert wrong is True
            assert refused(port, "correct horse: 'battery'") is False
        finally:
            broker.terminate()
    assert "battery" not in (tmp_path / "passwords").read_text()


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_docker_compose_reads_the_file(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    file = tmp_path / "compose.yaml"
    # Version 1 of docker-compose, which Debian has, knows no name of a project.
    text = (DEPLOY / "compose.yaml").read_text().replace("name: pi-detector\n", "")
    file.write_text(text)
    read = subprocess.run(
        ["docker-compose", "-f", file, "config"], capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    assert "127.0.0.1:1883:1883" in read.stdout
