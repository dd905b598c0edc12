# SPDX-License-Identifier: Apache-2.0
"""
The errors of the shared kernel.

    PatchwrightError
    ├── MalformedVersion         a version string no package manager would accept
    ├── MalformedFacts           facts that cannot be read, or are larger than allowed
    │   └── DigestMismatch       a body that is not what its digest names
    ├── MalformedBaseline        a baseline that contradicts itself
    ├── MalformedDocument        a command document that cannot be read
    │   └── InvalidParameters    parameters the document does not take
    ├── MalformedOverride        a list or a baseline given for one run that cannot be read
    ├── MalformedMessage         a message between agent and server that lacks what it must carry
    ├── ImpossibleTransition     a status that cannot follow the one that is stored
    └── PlanRefused              a resolution that goes beyond what the server intended
"""

from __future__ import annotations

from typing import Sequence


class PatchwrightError(Exception):
    """The root of every error Patchwright raises on purpose."""


class MalformedVersion(PatchwrightError):
    """A version string no package manager would accept."""


class MalformedFacts(PatchwrightError):
    """Facts that cannot be read, or are larger than allowed."""


class DigestMismatch(MalformedFacts):
    """A body whose content is not what its digest names."""

    def __init__(self, claimed: str, actual: str) -> None:
        super().__init__(f"the body sent as {claimed} has the digest {actual}")
        self.claimed = claimed
        self.actual = actual


class MalformedBaseline(PatchwrightError):
    """A baseline that contradicts itself or names what does not exist."""


class MalformedDocument(PatchwrightError):
    """A command document that cannot be read."""


class InvalidParameters(MalformedDocument):
    """Parameters the document does not take, or values it does not allow."""


class MalformedOverride(PatchwrightError):
    """A list of patches, or a baseline, that was given for one run and cannot be read."""


class MalformedMessage(PatchwrightError):
    """A message between agent and server that lacks what it must carry."""


class ImpossibleTransition(PatchwrightError):
    """A status that cannot follow the one that is stored."""


class PlanRefused(PatchwrightError):
    """A resolution that goes beyond what the server intended."""

    def __init__(self, violations: Sequence[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = tuple(violations)
