# SPDX-License-Identifier: Apache-2.0
"""
The actions of a document's steps, by name. Only processes that run commands import them.

An action is a function of a step and a `Context` that answers an `Outcome`; it never raises for what a document asks of it
but PatchwrightError, which is reported as the step's failure. It is entered again after a crash: see `model.Action`.
"""

from __future__ import annotations

from typing import Mapping

from patchwright.agent.actions import (
    associations,
    download,
    inventory,
    patch,
    patch_check,
    powershell,
    run_document,
    script,
    update,
)
from patchwright.agent.actions.model import Action, Context, Course, Outcome, StepState, joined
from patchwright.core import actions

__all__ = ["ACTIONS", "Action", "Context", "Course", "Outcome", "StepState", "joined"]

ACTIONS: Mapping[str, Action] = {
    actions.PATCH: patch.run,
    actions.PATCH_CHECK: patch_check.run,
    actions.SHELL_SCRIPT: script.run,
    actions.UPDATE_AGENT: update.run,
    actions.POWERSHELL_SCRIPT: powershell.run,
    actions.RUN_DOCUMENT: run_document.run,
    actions.DOWNLOAD_CONTENT: download.run,
    actions.SOFTWARE_INVENTORY: inventory.run,
    actions.REFRESH_ASSOCIATION: associations.run,
}
