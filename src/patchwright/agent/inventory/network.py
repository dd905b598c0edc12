# SPDX-License-Identifier: Apache-2.0
"""Network interfaces: AWS:Network."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Dict, List

from patchwright.agent.errors import CommandMissing
from patchwright.agent.shell import Shell
from patchwright.core.inventory import Row

TIMEOUT_SECONDS = 30.0
_LOOPBACK = "loopback"


def interfaces(shell: Shell, root: Path = Path("/")) -> List[Row]:
    """The interfaces that are up but the loopback. Raises CommandError, ValueError where `ip` says nonsense."""
    try:
        addresses = shell.run(["ip", "-j", "addr"], timeout=TIMEOUT_SECONDS).stdout
        routes = shell.run(["ip", "-j", "route", "show", "default"], timeout=TIMEOUT_SECONDS).stdout
    except CommandMissing:
        return _bare(root)
    try:
        servers = (root / "etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        servers = ""
    return parse(addresses, routes, servers)


def parse(addresses: str, routes: str, resolv_conf: str) -> List[Row]:
    """What `ip -j addr` and `ip -j route show default` print, and resolv.conf has. Raises ValueError."""
    gateways: Dict[str, List[str]] = {}
    for route in _objects(routes):
        if route.get("gateway"):
            gateways.setdefault(str(route.get("dev")), []).append(str(route["gateway"]))
    words = [line.split() for line in resolv_conf.splitlines()]
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    rows = []
    for link in _objects(addresses):
        if "UP" in link.get("flags", ()) and link.get("link_type") != _LOOPBACK:
            name = str(link.get("ifname", ""))
            rows.append(_row(name, link, gateways.get(name, []), servers))
    return rows


def _row(name: str, link: Dict[str, Any], gateways: List[str], servers: List[str]) -> Row:
    known = [one for one in link.get("addr_info", ()) if isinstance(one, dict) and one.get("local")]
    four = [one for one in known if one.get("family") == "inet"]
    six = [one for one in known if one.get("family") == "inet6"]
    row = {
        "Name": name,
        "MacAddress": str(link.get("address", "")),
        "IPV4": _joined(one["local"] for one in four),
        "IPV6": _joined(one["local"] for one in six),
        "SubnetMask": _joined(ip_network(f"0.0.0.0/{one['prefixlen']}").netmask for one in four),
        "Gateway": _joined(gateways),
        "DNSServer": _joined(servers) if known else "",
    }
    return {key: value for key, value in row.items() if value}


def _bare(root: Path) -> List[Row]:
    """Names and hardware addresses, where there is no `ip`."""
    rows = []
    for path in sorted((root / "sys/class/net").glob("*")):
        try:
            address = (path / "address").read_text(encoding="ascii", errors="replace").strip()
            kind = (path / "type").read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if kind != "772":  # ARPHRD_LOOPBACK
            rows.append({"Name": path.name, "MacAddress": address} if address else {"Name": path.name})
    return rows


def _objects(text: str) -> List[Dict[str, Any]]:
    found = json.loads(text or "[]")
    if not isinstance(found, list):
        raise ValueError(f"ip says {text[:100]!r}")
    return [one for one in found if isinstance(one, dict)]


def _joined(values: Any) -> str:
    return ",".join(str(value) for value in values)
