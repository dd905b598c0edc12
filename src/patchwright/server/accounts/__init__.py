# SPDX-License-Identifier: Apache-2.0
"""
Accounts: who asks, and for which account and region. Access keys, sealed secrets, the master key.

The door. What is exported here is all that other rooms may use.
"""

from __future__ import annotations

from patchwright.server.accounts import policy
from patchwright.server.accounts.keys import MasterKey, UnreadableMasterKey
from patchwright.server.accounts.model import AccessKey, KeyTaken, Scope, root_arn
from patchwright.server.accounts.service import Service, write_credentials

__all__ = [
    "AccessKey",
    "KeyTaken",
    "MasterKey",
    "Scope",
    "Service",
    "UnreadableMasterKey",
    "policy",
    "root_arn",
    "write_credentials",
]
