# SPDX-License-Identifier: Apache-2.0
"""The actions that steps of command documents may name: on which platforms each is, and which of them our agent runs."""

from __future__ import annotations

from typing import Mapping, Tuple

PATCH = "patchwright:patch"  # a patch operation (design D4)
PATCH_CHECK = "patchwright:patchCheck"  # whether a patch operation that comes next has anything to do
SHELL_SCRIPT = "aws:runShellScript"
POWERSHELL_SCRIPT = "aws:runPowerShellScript"
RUN_DOCUMENT = "aws:runDocument"
DOWNLOAD_CONTENT = "aws:downloadContent"
SOFTWARE_INVENTORY = "aws:softwareInventory"
REFRESH_ASSOCIATION = "aws:refreshAssociation"
UPDATE_AGENT = "aws:updateSsmAgent"
SCRIPTS = (SHELL_SCRIPT, POWERSHELL_SCRIPT)

PLATFORMS = ("Windows", "Linux", "MacOS")
_UNIX = ("Linux", "MacOS")
_WINDOWS = ("Windows",)
_DOCKER = ("Windows", "Linux")
# Where amazon-ssm-agent has an action (spec §5.9). Not one of them: nobody knows it.
_KNOWN: Mapping[str, Tuple[str, ...]] = {
    SHELL_SCRIPT: _UNIX,
    POWERSHELL_SCRIPT: PLATFORMS,
    RUN_DOCUMENT: PLATFORMS,
    DOWNLOAD_CONTENT: PLATFORMS,
    SOFTWARE_INVENTORY: PLATFORMS,
    REFRESH_ASSOCIATION: PLATFORMS,
    UPDATE_AGENT: PLATFORMS,
    "aws:updateAgent": PLATFORMS,
    "aws:configurePackage": PLATFORMS,
    "aws:applications": _WINDOWS,
    "aws:cloudWatch": _WINDOWS,
    "aws:configureDaemon": PLATFORMS,
    "aws:configureDocker": _DOCKER,
    "aws:dockerContainer": _DOCKER,
    "aws:domainJoin": _WINDOWS,
    "aws:psModule": _WINDOWS,
    "aws:runDockerAction": _DOCKER,
    PATCH: ("Linux",),
    PATCH_CHECK: ("Linux",),
}

OUR_AGENT, AMAZONS_AGENT = "patchwright-agent", "amazon-ssm-agent"  # what they call themselves

# What our agent runs. Where nodes of ours alone are sent others, they are refused, with this as the reason.
SERVED = frozenset(
    {
        PATCH,
        PATCH_CHECK,
        SHELL_SCRIPT,
        POWERSHELL_SCRIPT,
        RUN_DOCUMENT,
        DOWNLOAD_CONTENT,
        SOFTWARE_INVENTORY,
        REFRESH_ASSOCIATION,
        UPDATE_AGENT,
    }
)

# What only Amazon's agent runs, without anything of the server's.
_AMAZONS = frozenset({"aws:configureDocker", "aws:dockerContainer", "aws:runDockerAction"})


def is_served(action: str, agent: str = "") -> bool:
    """Whether *agent* runs an action; empty: whether any agent does."""
    return action in SERVED or (action in _AMAZONS and agent in ("", AMAZONS_AGENT))


def platforms_of(action: str, *, schema: str = "2.2") -> Tuple[str, ...]:
    """Where *action* is, in a document of this schema version; everywhere for one that nobody knows."""
    if action == POWERSHELL_SCRIPT and schema != "2.2":
        return _WINDOWS  # before 2.2 PowerShell was on Windows only
    return _KNOWN.get(action, PLATFORMS)


def is_known(action: str) -> bool:
    """Whether there is an action of this name on any platform."""
    return action in _KNOWN
