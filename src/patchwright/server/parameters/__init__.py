# SPDX-License-Identifier: Apache-2.0
"""
Parameter Store: values by name, with versions, labels, hierarchies and secrets (spec §1.16, §1.19).

The door. `Service` holds the use cases, `delete_expired` is the job of the workers; `require` is a unit of work for the edges.
"""

from __future__ import annotations

from patchwright.server.parameters.errors import (
    IncompatiblePolicies,
    InvalidKeyId,
    InvalidName,
    InvalidParameter,
    InvalidPattern,
    InvalidPolicies,
    InvalidPolicyAttribute,
    ParametersError,
    ParameterTaken,
    PatternMismatch,
    ReservedName,
    TooDeep,
    TooManyLabels,
    TooManyParameters,
    TooManyPolicies,
    TypeChanged,
    UnknownParameter,
    UnknownPolicyType,
    UnknownVersion,
    UnsupportedType,
    VersionsExhausted,
)
from patchwright.server.parameters.jobs import SWEEP_SECONDS, delete_expired
from patchwright.server.parameters.model import ADVANCED, INTELLIGENT, SECURE_STRING, STANDARD, Change, Parameter
from patchwright.server.parameters.names import arn, hierarchy, reference
from patchwright.server.parameters.policies import kind as policy_kind
from patchwright.server.parameters.search import Filter, within
from patchwright.server.parameters.service import Found, Plain, Service, is_secret, plain, require

__all__ = [
    "ADVANCED",
    "INTELLIGENT",
    "SECURE_STRING",
    "STANDARD",
    "SWEEP_SECONDS",
    "Change",
    "Filter",
    "Found",
    "IncompatiblePolicies",
    "InvalidKeyId",
    "InvalidName",
    "InvalidParameter",
    "InvalidPattern",
    "InvalidPolicies",
    "InvalidPolicyAttribute",
    "Parameter",
    "ParameterTaken",
    "ParametersError",
    "PatternMismatch",
    "Plain",
    "ReservedName",
    "Service",
    "TooDeep",
    "TooManyLabels",
    "TooManyParameters",
    "TooManyPolicies",
    "TypeChanged",
    "UnknownParameter",
    "UnknownPolicyType",
    "UnknownVersion",
    "UnsupportedType",
    "VersionsExhausted",
    "arn",
    "delete_expired",
    "hierarchy",
    "is_secret",
    "plain",
    "policy_kind",
    "reference",
    "require",
    "within",
]
