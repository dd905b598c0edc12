# SPDX-License-Identifier: Apache-2.0
"""The locks of rpm, and those of dnf 4, which are files with the holder's process id in them."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from patchwright.agent.clock import Clock
from patchwright.agent.providers.locks import Holder, Locks

PROGRAMS = ("dnf", "yum", "packagekit")


class DnfLocks(Locks):
    """See `Locks`; *pid_files* are dnf 4's."""

    def __init__(
        self,
        paths: Sequence[Path],
        pid_files: Sequence[Path],
        *,
        clock: Clock,
        seconds: float,
        proc: Path = Path("/proc"),
    ) -> None:
        super().__init__(paths, clock=clock, seconds=seconds, proc=proc)
        self._pid_files = tuple(pid_files)

    def holder(self) -> Optional[Holder]:
        """Who holds one of the locks now; None where nobody is seen to."""
        held = super().holder()
        if held is not None:
            return held
        for path in self._pid_files:
            try:
                text = path.read_text(encoding="ascii", errors="replace").strip()
            except OSError:
                continue
            command = self._command(int(text)) if text.isdigit() and len(text) < 10 else ""
            if any(program in command.lower() for program in PROGRAMS):  # another program may have its number by now
                return Holder(str(path), int(text), command)
        return None
