# SPDX-License-Identifier: Apache-2.0
"""
Accounts: who asks, and for which account and region. Access keys, sealed secrets, the master key.

The door. What is exported here is all that other rooms may use.
"""

from __future__ import annotations

from patchwright.server.accounts import policy, public_keys
from patchwright.server.accounts.access import Access, open_access
from patchwright.server.accounts.audit import Act, Audited, Trail
from patchwright.server.accounts.audit_retention import RETENTION_SECONDS, Retention
from patchwright.server.accounts.audit_search import Question
from patchwright.server.accounts.audit_service import SEAL_SECONDS, Anchor, AuditService, Proof
from patchwright.server.accounts.authority import (
    NODE_PRINCIPAL,
    ROOT,
    Authorities,
    Authority,
    authority_of,
    find_identity,
    recall,
    remember,
    root_of,
)
from patchwright.server.accounts.identities import (
    GROUP,
    ROLE,
    USER,
    EntityInUse,
    EntityTaken,
    Identity,
    InvalidEntity,
    TooManyEntities,
    UnknownEntity,
)
from patchwright.server.accounts.identity_service import Identities
from patchwright.server.accounts.key_service import NOTE_SECONDS, Keys
from patchwright.server.accounts.keys import MasterKey, UnreadableMasterKey
from patchwright.server.accounts.managed import ManagedPolicy, PolicyVersion
from patchwright.server.accounts.model import AccessKey, Account, KeyTaken, Principal, Scope, Session, root_arn
from patchwright.server.accounts.policy_service import Attachments, Policies
from patchwright.server.accounts.public_keys import UnusableKey
from patchwright.server.accounts.service import Service, write_credentials
from patchwright.server.accounts.sessions import (
    BadDuration,
    Given,
    PolicyTooLarge,
    SessionExpired,
    SessionRefused,
    Sessions,
    Wish,
)
from patchwright.server.accounts.signatures import SWEEP_SECONDS as SIGNATURE_SECONDS
from patchwright.server.accounts.signatures import SignatureReused, Signed
from patchwright.server.accounts.signatures import forget as forget_signatures
from patchwright.server.accounts.tenants import FirstAccount, Tenants, UnknownAccount, is_active

__all__ = [
    "GROUP",
    "NODE_PRINCIPAL",
    "NOTE_SECONDS",
    "RETENTION_SECONDS",
    "ROLE",
    "ROOT",
    "SEAL_SECONDS",
    "SIGNATURE_SECONDS",
    "USER",
    "Access",
    "AccessKey",
    "Account",
    "Act",
    "Anchor",
    "Attachments",
    "AuditService",
    "Audited",
    "Authorities",
    "Authority",
    "BadDuration",
    "EntityInUse",
    "EntityTaken",
    "FirstAccount",
    "Given",
    "Identities",
    "Identity",
    "InvalidEntity",
    "KeyTaken",
    "Keys",
    "ManagedPolicy",
    "MasterKey",
    "Policies",
    "PolicyTooLarge",
    "PolicyVersion",
    "Principal",
    "Proof",
    "Question",
    "Retention",
    "Scope",
    "Service",
    "Session",
    "SessionExpired",
    "SessionRefused",
    "Sessions",
    "SignatureReused",
    "Signed",
    "Tenants",
    "TooManyEntities",
    "Trail",
    "UnknownAccount",
    "UnknownEntity",
    "UnreadableMasterKey",
    "UnusableKey",
    "Wish",
    "authority_of",
    "find_identity",
    "forget_signatures",
    "is_active",
    "open_access",
    "policy",
    "public_keys",
    "recall",
    "remember",
    "root_arn",
    "root_of",
    "write_credentials",
]
