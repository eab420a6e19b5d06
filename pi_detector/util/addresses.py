"""Addresses and networks in settings."""

from __future__ import annotations

import ipaddress


def is_network(text: str) -> bool:
    """Whether a text is an address or a network, other than the network of all addresses.

    Example:
        >>> is_network("10.0.0.0/24"), is_network("0.0.0.0/0")
        (True, False)
    """
    try:
        return ipaddress.ip_network(text).prefixlen > 0
    except ValueError:
        return False
