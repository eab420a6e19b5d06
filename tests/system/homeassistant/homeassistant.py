"""Home Assistant as a program that is started, set up and asked, by its own interfaces."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from real_broker import PATIENCE_S, wait_for

BLUEPRINTS = Path(__file__).parents[3] / "docs" / "homeassistant"
PYTHON = "/opt/homeassistant/bin/python"
CLIENT = "http://127.0.0.1/"
START_S = 180.0
_BOOT = """
mount --bind /dev "$0/dev"
mount -t proc proc "$0/proc"
mkdir -p "$0/config"
mount --bind "$1" "$0/config"
exec chroot "$0" /opt/homeassistant/bin/hass --config /config --skip-pip
"""
# Home Assistant's own library for WebSockets, in its own Python.
_ASK = """
import asyncio, json, sys
import aiohttp

async def main(url, token, command):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        await ws.receive_json()
        await ws.send_json({"type": "auth", "access_token": token})
        assert (await ws.receive_json())["type"] == "auth_ok"
        await ws.send_json({"id": 1, **json.loads(command)})
        print(json.dumps(await ws.receive_json()))

asyncio.run(main(*sys.argv[1:]))
"""


class HomeAssistant:
    """On 127.0.0.1, with nothing but MQTT.

    Args:
        root: a Debian with Home Assistant.
        folder: of its configuration and log.
        more: of configuration.yaml.
    """

    def __init__(self, root: Path, folder: Path, more: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        self.entry = ""
        self._root = root
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\n"
            "logger:\n  default: warning\napi:\nconfig:\nonboarding:\nwebsocket_api:\n" + more
        )
        blueprints = folder / "blueprints" / "automation" / "pi-detector"
        blueprints.mkdir(parents=True)
        for each in BLUEPRINTS.glob("*.yaml"):
            shutil.copy(each, blueprints)

    def start(self) -> None:
        # Its mounts, and whatever it starts, go with it.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*alone, "sh", "-euc", _BOOT, self._root, self.folder], stdout=log, stderr=log
            )
        wait_for(self._runs, self.log, START_S)

    def stop(self) -> None:
        """As its own button does: what it knows is saved."""
        assert self._process is not None
        self.call("homeassistant", "stop")
        self._process.wait(PATIENCE_S)
        self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return (self.folder / "console.log").read_text()

    def set_up(self, broker_port: int, username: str, password: str) -> None:
        """Make an owner, and the MQTT integration."""
        owner = {"name": "Owner", "username": "owner", "password": "owner", "language": "en"}
        code = self._rest("onboarding/users", {**owner, "client_id": CLIENT})["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT}
        self._token = self._post("/auth/token", urllib.parse.urlencode(grant).encode())[
            "access_token"
        ]
        for step in ("core_config", "analytics"):
            self._rest(f"onboarding/{step}", {})
        flow = self._rest("config/config_entries/flow", {"handler": "mqtt"})
        values = {
            "broker": "127.0.0.1",
            "port": broker_port,
            "username": username,
            "password": password,
        }
        made = self._rest(f"config/config_entries/flow/{flow['flow_id']}", values)
        assert made["type"] == "create_entry", made
        self.entry = made["result"]["entry_id"]

    def call(self, domain: str, service: str, **data: Any) -> None:
        self._rest(f"services/{domain}/{service}", data)

    def connect_again(self) -> None:
        """Have its MQTT client connect anew, and so say that it is there."""
        self._rest(f"config/config_entries/entry/{self.entry}/reload", {})

    def ask(self, **command: Any) -> Any:
        """The result of a command of its WebSocket interface."""
        url = f"http://127.0.0.1:{self.port}/api/websocket"
        said = subprocess.run(
            ["chroot", self._root, PYTHON, "-c", _ASK, url, self._token, json.dumps(command)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        answer = json.loads(said)
        assert answer["success"], answer
        return answer["result"]

    def delete(self, device_name: str) -> None:
        """Delete a device, as its page does."""
        (device,) = [
            each["id"]
            for each in self.ask(type="config/device_registry/list")
            if each["name"] == device_name
        ]
        self.ask(
            type="config/device_registry/remove_config_entry",
            config_entry_id=self.entry,
            device_id=device,
        )

    def picture(self, entity: str) -> bytes:
        """What a camera shows; empty where it shows nothing."""
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"http://127.0.0.1:{self.port}/api/camera_proxy/{entity}"
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError:
            return b""

    def states(self) -> dict[str, dict[str, Any]]:
        """All states, by entity."""
        return {each["entity_id"]: each for each in self._rest("states")}

    def entities(self) -> list[str]:
        """The entities that it remembers, of the MQTT integration."""
        known = self.ask(type="config/entity_registry/list")
        return sorted(each["entity_id"] for each in known if each["platform"] == "mqtt")

    def _runs(self) -> bool:
        assert self._process is None or self._process.poll() is None, self.log()
        try:
            if not self._token:
                return isinstance(self._rest("onboarding"), list)
            return bool(self._rest("config")["state"] == "RUNNING")
        except OSError:
            return False

    def _rest(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._post(f"/api/{path}", None if body is None else json.dumps(body).encode())

    def _post(self, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None and body[:1] in (b"{", b"["):
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace"))
            raise
