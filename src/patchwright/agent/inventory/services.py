# SPDX-License-Identifier: Apache-2.0
"""Services: AWS:Service."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

from patchwright.agent.shell import Shell
from patchwright.core.inventory import MAX_VALUE, Row

TIMEOUT_SECONDS = 60.0
_PROPERTIES = "Id,Description,Type,ActiveState,UnitFileState,LoadState,Transient,Requires,Wants,RequiredBy,WantedBy"
SHOW = ("systemctl", "show", "--all", "--no-pager", f"--property={_PROPERTIES}", "*.service")
_STATUS = {"active": "Running", "reloading": "Running", "activating": "Running", "failed": "Failed"}


def services(shell: Shell, root: Path = Path("/")) -> List[Row]:
    """The units of systemd, or the scripts of another init. Raises CommandError."""
    if (root / "run/systemd/system").is_dir():
        return parse(shell.run(SHOW, timeout=TIMEOUT_SECONDS).stdout)
    return _scripts(root / "etc/init.d")


def parse(text: str) -> List[Row]:
    """What `SHOW` prints; units that are made for one run, and those that do not exist, are left out."""
    rows = []
    for block in text.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        name = fields.get("Id", "")
        if name.endswith(".service") and fields.get("Transient") != "yes" and fields.get("LoadState") != "not-found":
            rows.append(_row(name, fields))
    return rows


def _row(name: str, fields: Dict[str, str]) -> Row:
    row = {
        "Name": name,
        "DisplayName": fields.get("Description", ""),
        "ServiceType": fields.get("Type", ""),
        "Status": _STATUS.get(fields.get("ActiveState", ""), "Stopped"),
        "StartType": fields.get("UnitFileState", ""),
        "ServicesDependedOn": _services_in(fields, "Requires", "Wants"),
        "DependentServices": _services_in(fields, "RequiredBy", "WantedBy"),
    }
    return {key: value for key, value in row.items() if value}


def _services_in(fields: Dict[str, str], *names: str) -> str:
    units = {unit for name in names for unit in fields.get(name, "").split() if unit.endswith(".service")}
    return " ".join(sorted(units))[:MAX_VALUE]


def _scripts(directory: Path) -> List[Row]:
    try:
        names = sorted(path.name for path in directory.iterdir() if path.is_file() and path.stat().st_mode & 0o111)
    except OSError:
        return []
    return [{"Name": name, "ServiceType": "script"} for name in names]
