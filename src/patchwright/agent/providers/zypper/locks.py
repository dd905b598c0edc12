# SPDX-License-Identifier: Apache-2.0
"""libzypp's lock: the process whose id stands in a file holds it, as long as it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from patchwright.agent.clock import Clock
from patchwright.agent.providers import locks
from patchwright.agent.providers.locks import Holder

PID_FILES = ("run/zypp.pid", "var/run/zypp.pid")
RPM_LOCK = "var/lib/rpm/.rpm.lock"


class ZyppLocks(locks.Locks):
    """The locks of zypper, YaST and PackageKit, and rpm's own, below *root*."""

    def __init__(self, root: Path, *, clock: Clock, seconds: float) -> None:
        # The ids are those of the system below root, which has processes of its own where it is booted.
        proc = root / "proc" if (root / "proc/1/stat").exists() else Path("/proc")
        files = [root / name for name in PID_FILES]
        self._files = [path for path in files[:1] if path.exists()] or files[1:]
        super().__init__((*self._files, root / RPM_LOCK), clock=clock, seconds=seconds, proc=proc)

    def holder(self) -> Optional[Holder]:
        """Who holds one of the locks now; None where nobody is seen to."""
        for path in self._files:
            try:
                text = path.read_text(encoding="ascii", errors="replace").strip()
            except OSError:
                continue
            pid = int(text) if text.isdigit() and len(text) < 11 else 0
            if pid and pid != os.getpid() and self._runs(pid):
                return self._completed(Holder(str(path), pid, ""))
        return super().holder()

    def _runs(self, pid: int) -> bool:
        try:
            stat = (self._proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[:1] not in (["Z"], ["X"])
