"""What the service's unit forbids: the internet, unless a drop-in allows it."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from pi_detector.util.programs import shown_units, unit_properties

_UNIT = "pi-detector.service"
_SCRIPT = "allow-internet.sh"
_INSTALLED = (
    Path("/usr/local/lib/pi-detector", _SCRIPT),
    Path("/usr/lib/pi-detector", _SCRIPT),
)
# For documentation, RFC 5737: nobody has this address, and no router forwards to it.
_NOBODY = ("192.0.2.1", 9)
_ALL = {"0.0.0.0/0", "::/0", "any"}


def internet_forbidden() -> bool:
    """Whether this process is kept from the internet, as the unit does it.

    The filter that ``IPAddressDeny=`` installs has a packet refused with EPERM; systemd.resource-
    control(5).
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"", _NOBODY)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def unit_forbids_internet() -> bool:
    """Whether the installed service may not reach the internet; False where none is installed."""
    shown = shown_units([_UNIT], ("LoadState", "IPAddressDeny", "IPAddressAllow"))
    found = unit_properties(shown)[0]
    denied = set(found.get("IPAddressDeny", "").split())
    allowed = set(found.get("IPAddressAllow", "").split())
    return found.get("LoadState") == "loaded" and bool(denied & _ALL) and not allowed & _ALL


def how_to_allow() -> str:
    """What a user does to let the service reach the internet."""
    script = next((path for path in _INSTALLED if path.exists()), None)
    return f"sudo {script or f'systemd/{_SCRIPT}'}"


def may_be_far(host: str) -> bool:
    """Whether a host, a name or an address, may be beyond the local network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host.rstrip(".") and not host.rstrip(".").endswith(
            (".local", ".lan", ".home")
        )
    return address.is_global
