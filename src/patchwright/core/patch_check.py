# SPDX-License-Identifier: Apache-2.0
"""Whether patch steps that come next have anything to do: what a document's check step asks, and the answer (spec §3.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Tuple

from patchwright.core.compliance import Operation, PatchState
from patchwright.core.errors import InvalidParameters
from patchwright.core.protocol import RebootOption

INSTALL, REBOOT = "install", "reboot"  # before which step it is asked


class Answer(NamedTuple):
    """Whether the document goes on, and why."""

    goes_on: bool
    text: str


@dataclass(frozen=True)
class PatchCheck:
    """What a check step asks: before an installation or a restart, of a run with these options."""

    before: str
    operation: Operation
    reboot_option: RebootOption

    @classmethod
    def read(cls, name: str, inputs: Mapping[str, Any]) -> PatchCheck:
        """
        The step called *name* with these inputs.

        Raises:
            InvalidParameters: An input is none that a check step takes.
        """
        before = _one_of(name, inputs, "Check", (INSTALL, REBOOT))
        operation = _one_of(name, inputs, "Operation", tuple(one.value for one in Operation))
        option = _one_of(name, inputs, "RebootOption", tuple(one.value for one in RebootOption))
        return cls(before, Operation(operation), RebootOption(option))

    def answer(self, counts: Mapping[str, int]) -> Answer:
        """Whether there is anything to do, *counts* being those of the node's last operation, by state."""
        missing = counts.get(PatchState.MISSING.value, 0) + counts.get(PatchState.FAILED.value, 0)
        pending = counts.get(PatchState.INSTALLED_PENDING_REBOOT.value, 0)
        found = f"{missing} patches to install, {pending} waiting for a restart"
        restarts = pending > 0 and self.reboot_option is RebootOption.REBOOT_IF_NEEDED
        if self.operation is Operation.SCAN:
            return Answer(False, f"{found}; a Scan ends here")
        if self.before == INSTALL:
            return Answer(missing > 0 or restarts, found if missing or restarts else f"{found}: nothing to do")
        if self.reboot_option is RebootOption.NO_REBOOT:
            return Answer(False, f"{found}; no restart is wanted")
        return Answer(restarts, found if restarts else f"{found}: no restart is needed")


def _one_of(name: str, inputs: Mapping[str, Any], member: str, allowed: Tuple[str, ...]) -> str:
    value = inputs.get(member)
    if not isinstance(value, str) or value not in allowed:
        raise InvalidParameters("the {} of step {} is one of {}".format(member, name, ", ".join(allowed)))
    return value
