# SPDX-License-Identifier: Apache-2.0
"""
The actions of a document's steps, by name. Only processes that run commands import them.

An action is a function of a step and a `Context` that answers an `Outcome`; it never raises for what a document asks of it
but PatchwrightError, which is reported as the step's failure. It is entered again after a crash: see `model.Action`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Mapping

from patchwright.agent.actions.model import Action, Context, Course, Outcome, StepState, joined
from patchwright.core import actions

__all__ = ["ACTIONS", "Action", "Context", "Course", "Outcome", "StepState", "joined"]


def _in(module: str) -> Action:
    """The action in a module of this package, which is loaded where a step asks for it: a script needs nothing of patching."""

    def run(step: StepState, context: Context) -> Outcome:
        action: Action = import_module(f"{__name__}.{module}").run
        return action(step, context)

    return run


ACTIONS: Mapping[str, Action] = {
    actions.PATCH: _in("patch"),
    actions.PATCH_CHECK: _in("patch_check"),
    actions.SHELL_SCRIPT: _in("script"),
    actions.UPDATE_AGENT: _in("update"),
    actions.POWERSHELL_SCRIPT: _in("powershell"),
    actions.RUN_DOCUMENT: _in("run_document"),
    actions.DOWNLOAD_CONTENT: _in("download"),
    actions.SOFTWARE_INVENTORY: _in("inventory"),
    actions.REFRESH_ASSOCIATION: _in("associations"),
}
