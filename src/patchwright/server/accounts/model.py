# SPDX-License-Identifier: Apache-2.0
"""Whose resources a request is about, and the keys that sign for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError


class KeyTaken(PatchwrightError):
    """An access key's id that is another account's already."""


class Scope(NamedTuple):
    """The account and region that every resource belongs to (design §5)."""

    account: str
    region: str


@dataclass(frozen=True)
class AccessKey:
    """An access key whose secret was unsealed to check a signature. The secret does not show in its repr."""

    id: str
    account: str
    principal: str
    secret: str = field(repr=False)


def root_arn(account: str) -> str:
    """The ARN of an account's root user."""
    return f"arn:aws:iam::{account}:root"
