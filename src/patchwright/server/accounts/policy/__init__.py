# SPDX-License-Identifier: Apache-2.0
"""
Policies: what a document of AWS's policy language says about a request. Pure: no I/O, no clock.

    evaluator = policy.Evaluator([policy.parse(text), …])
    ruling = evaluator.decide(policy.Asked("ssm:SendCommand", arn, {"ssm:resourceTag/env": ["dev"]}))

What is taken and what it means: docs/reference/policies.md.
"""

from __future__ import annotations

from patchwright.server.accounts.policy.decide import Evaluator
from patchwright.server.accounts.policy.model import Asked, Context, MalformedPolicy, Ruling
from patchwright.server.accounts.policy.parse import DENY_ALL, Policy, Statement, parse, parse_stored, size
from patchwright.server.accounts.policy.ready import MANAGED, READY

__all__ = [
    "DENY_ALL",
    "MANAGED",
    "READY",
    "Asked",
    "Context",
    "Evaluator",
    "MalformedPolicy",
    "Policy",
    "Ruling",
    "Statement",
    "parse",
    "parse_stored",
    "size",
]
