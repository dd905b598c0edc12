# SPDX-License-Identifier: Apache-2.0
"""
A role's trust: the policy that says who may assume it. Pure.

A principal that it names by ARN is held to the id that it had when the trust was written: who gets the name of a deleted
user does not get that user's roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from patchwright.server.accounts import policy
from patchwright.server.accounts.identities import ROLE, USER
from patchwright.server.accounts.model import Principal, root_arn

ASSUME, TAG = "sts:AssumeRole", "sts:TagSession"
_ARN_FIELDS = 6


def named(document: str) -> list[str]:
    """The ARNs that a trust names, in order. Raises MalformedPolicy for what is none."""
    statements = policy.parse(document, trust=True).statements
    return sorted({name for one in statements for name in one.principals or () if name.startswith("arn:")})


def entity(arn: str) -> tuple[str, str, str] | None:
    """Account, kind and name of the user or role with this ARN; None where it is another thing."""
    parts = arn.split(":", _ARN_FIELDS - 1)
    kind, _, rest = parts[-1].partition("/")
    if len(parts) == _ARN_FIELDS and parts[2] == "iam" and kind in {USER, ROLE} and rest:
        return parts[4], kind, rest.rpartition("/")[2]
    return None


def invalid_principal(arn: str) -> policy.MalformedPolicy:
    """A trust that names nobody."""
    return policy.MalformedPolicy("", f'Invalid principal in policy: "AWS":"{arn[:300]}"')


def write_pins(pins: Mapping[str, str]) -> str:
    """Pins as they are stored."""
    return json.dumps(pins, sort_keys=True)


def may_assume(
    document: str,
    pins: str,
    principal: Principal,
    *,
    role: str,
    actions: Sequence[str],
    context: Mapping[str, Sequence[str]],
) -> bool:
    """
    Whether a trust lets *principal* take the *actions* on a role.

    Args:
        document: The trust.
        pins: The ids of those it names, as stored.
        principal: Who asks.
        role: The role's ARN.
        actions: `sts:AssumeRole`, and `sts:TagSession` for who passes tags.
        context: Condition keys of the request.
    """
    known: Mapping[str, str] = json.loads(pins)
    names = [root_arn(principal.account)]  # stands for the account, which may be named as well
    if principal.session is not None and principal.session.name:
        names.append(principal.arn)
    names += [arn for arn, pinned in known.items() if pinned == principal.id]
    evaluator = policy.Evaluator([policy.parse_stored(document, trust=True)])
    return all(evaluator.decide(policy.Asked(action, role, context, names)).allowed for action in actions)
