# SPDX-License-Identifier: Apache-2.0
"""
The action `aws:runShellScript`, and what every action shares that runs a text of the document's author.

Opaque (design D10): a script that was interrupted is Failed, its outcome unknown, and it never runs again; exit code 194 alone
makes the next run. It is run by a keeper (keeper.py), a process that outlives the agent and the worker.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Sequence

from patchwright.agent import child, node
from patchwright.agent.actions.model import Context, Outcome, StepState, joined
from patchwright.agent.journal import cancel_path
from patchwright.core import flow
from patchwright.core.protocol import STDERR_LIMIT, truncate

DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS = 3600, 5, 172_800  # spec §5.3
DEFAULT_SHELL = ("sh",)


def run(step: StepState, context: Context) -> Outcome:
    """Run the lines `runCommand` of the step in `workingDirectory`, for `timeoutSeconds` at most."""
    text = text_of(step)
    if not text:
        return Outcome("Failed", 1, "", "the step has no runCommand")
    return execute(step, context, text, interpreter=interpreter_of(text))


def execute(
    step: StepState, context: Context, text: str, *, interpreter: Sequence[str], name: str = "script.sh"
) -> Outcome:
    """
    Run *text*, as the file *name*, by *interpreter*, once for each time the step is entered after a restart of the node.

    Never raises for how it ends.
    """
    inputs = step["inputs"]
    request = {
        "name": name,
        "text": text,
        "interpreter": list(interpreter),
        "cwd": _place(str(inputs.get("workingDirectory") or ""), context),
        "environment": _environment(step, context),
        "seconds": seconds(inputs.get("timeoutSeconds")),
        "cancel": str(cancel_path(context.desk.bench.disk, context.command_id)),
        "limit": int(context.desk.settings.output_mib) * 1024 * 1024,
    }
    directory = context.directory / f"run-{step['restarts']}"
    try:
        result = child.obtain(context.desk.bench, "script", directory, request, limit=0, meanwhile=context.meanwhile)
    except child.TaskFailed as error:
        return context.heard()._replace(status="Failed", code=1, stderr=joined(context.heard().stderr, str(error)))
    return _outcome(context.heard(), result)


def text_of(step: StepState) -> str:
    """The lines `runCommand` of a step, each with its end; empty where it has none."""
    lines = step["inputs"].get("runCommand")
    if isinstance(lines, str):
        lines = lines.split("\n")
    return "".join(f"{line}\n" for line in lines) if isinstance(lines, list) else ""


def interpreter_of(text: str) -> List[str]:
    """
    What runs a script: what its first line names as `#!PROGRAM ARGUMENT`, else the shell.

    Read here because a directory for state may well be on a file system that nothing is executed from.
    """
    first = text.split("\n", 1)[0]
    if not first.startswith("#!"):
        return list(DEFAULT_SHELL)
    return first[2:].strip().split(None, 1) or list(DEFAULT_SHELL)


def seconds(value: Any) -> int:
    """A time limit as Amazon's agent reads one: what is no number from 5 to 172800 is an hour."""
    try:
        number = int(str(value).strip())
    except ValueError:
        return DEFAULT_SECONDS
    return number if LEAST_SECONDS <= number <= MOST_SECONDS else DEFAULT_SECONDS


def _place(given: str, context: Context) -> str:
    """Where the script runs: *given*, or within what its command has fetched, or empty: a place of its own."""
    if os.path.isabs(given) or not context.downloads.is_dir():  # noqa: PTH117 - a text of the author's
        return given
    return os.path.join(str(context.downloads), given)  # noqa: PTH118 - the same


def _environment(step: StepState, context: Context) -> Dict[str, str]:
    """What Amazon's agent tells a script (spec agent-protocol §10), and the parameters that come as variables."""
    system, identity = node.os_release(), context.desk.client.signer
    told = {
        "SSM_COMMAND_ID": context.command_id,
        "AWS_SSM_INSTANCE_ID": identity.key_id if identity else "",
        "AWS_SSM_REGION_NAME": identity.region if identity else "",
        "AWS_SSM_PLATFORM_NAME": system.get("NAME", ""),
        "AWS_SSM_PLATFORM_VERSION": system.get("VERSION_ID", ""),
    }
    given: Mapping[str, Any] = step.get("variables") or {}
    return {**told, **{name: str(value) for name, value in given.items()}}


def _outcome(heard: Outcome, result: Mapping[str, Any]) -> Outcome:
    ended, told = str(result["ended"]), str(result["told"])
    if told not in heard.stderr:  # it stands at the end of what is kept, where the reply may not come to
        heard = heard._replace(stderr=joined(truncate(heard.stderr, STDERR_LIMIT - len(told) - 1), told))
    if ended == "exited":
        status, code = flow.of_exit(int(result["code"]))
        return heard._replace(status=status, code=code, boot_id=str(result["boot_id"]))
    status = {"cancelled": "Cancelled", "late": "TimedOut"}.get(ended, "Failed")
    return heard._replace(status=status, code=flow.KILLED_CODE if status != "Failed" else 1)
