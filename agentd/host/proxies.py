"""Which proxy the environment names for an address; servers on this machine are reached without one.

The variables are the same as for other programs: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in small
letters or capitals (https://curl.se/docs/manpage.html, "Proxy environment variables").
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def proxy_for(scheme: str, host: str, environment: Mapping[str, str]) -> str:
    """The address of the proxy; "" if none is to be used."""
    named = _variable(f"{scheme}_proxy", environment) or _variable("all_proxy", environment)
    if not named or is_this_machine(host) or _excepted(host, _variable("no_proxy", environment)):
        return ""
    return named if "://" in named else f"http://{named}"


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address or one of its names (RFC 6761)."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address is not None and (address.is_loopback or address.is_unspecified)


def _excepted(host: str, names: str) -> bool:
    """Whether `no_proxy` lists the host, or a domain or network that it belongs to."""
    name, address = host.lower().rstrip("."), _address(host)
    for entry in (part.strip().lower().strip(".") for part in names.split(",")):
        domain = entry.removeprefix("*.")
        if entry == "*" or (domain and (name == domain or name.endswith(f".{domain}"))):
            return True
        with suppress(ValueError):
            if address is not None and address in ip_network(entry.strip("[]"), strict=False):
                return True
    return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()
