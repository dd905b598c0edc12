# SPDX-License-Identifier: Apache-2.0
"""Processors: AWS:InstanceDetailedInformation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Optional

from patchwright.core.inventory import Row

_NOMINAL = re.compile(r"@ *([0-9.]+) *GHz")
_MODELS = ("model name", "cpu model", "Processor", "cpu", "Hardware")  # what different architectures call it


def detailed_information(root: Path = Path("/")) -> List[Row]:
    """One row on the processors. Raises OSError where the kernel does not say."""
    text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return parse(text, limit_khz=_number(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"))


def parse(cpuinfo: str, *, limit_khz: Optional[int] = None) -> List[Row]:
    """
    What /proc/cpuinfo has; *limit_khz* is how fast a processor may run.

    The speed is one that does not change from moment to moment, so that the same machine says the same every day.
    """
    processors: List[Dict[str, str]] = []
    shared: Dict[str, str] = {}
    for block in cpuinfo.split("\n\n"):
        fields = dict(_field(line) for line in block.splitlines() if ":" in line)
        if fields.get("processor", "").isdigit():
            processors.append(fields)
        else:
            shared.update(fields)
    if not processors:
        return []
    first = {**shared, **processors[0]}
    model = next((first[name] for name in _MODELS if first.get(name)), "")
    cores = {(one.get("physical id", "0"), one.get("core id", one["processor"])) for one in processors}
    speed = _speed(first, model, limit_khz)
    row = {
        "CPUModel": model,
        "CPUs": str(len(processors)),
        "CPUCores": str(len(cores)),
        "CPUSockets": str(len({socket for socket, _ in cores})),
        "CPUSpeedMHz": speed,
        "CPUHyperThreadEnabled": "true" if len(cores) < len(processors) else "false",
        "OSServicePack": "",
    }
    return [{name: value for name, value in row.items() if value}]


def _speed(processor: Dict[str, str], model: str, limit_khz: Optional[int]) -> str:
    nominal = _NOMINAL.search(model)
    if nominal:
        return str(round(float(nominal.group(1)) * 1000))
    if limit_khz:
        return str(limit_khz // 1000)
    try:
        return str(round(float(processor.get("cpu MHz", ""))))
    except ValueError:
        return ""


def _field(line: str) -> List[str]:
    name, _, value = line.partition(":")
    return [name.strip(), value.strip()]


def _number(path: Path) -> Optional[int]:
    try:
        return int(path.read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError):
        return None
