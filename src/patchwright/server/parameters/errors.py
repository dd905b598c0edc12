# SPDX-License-Identifier: Apache-2.0
"""
What the parameters room refuses. No text of these repeats a value.

    PatchwrightError
    └── ParametersError
        ├── InvalidName              a name that no parameter can have
        │   ├── ReservedName         a name below /aws
        │   └── TooDeep              a hierarchy of more levels than there may be
        ├── InvalidParameter         members that contradict each other, the value or the parameter that is there
        │   ├── TypeChanged          another type than the parameter has
        │   └── UnsupportedType      a type that cannot hold this data
        ├── InvalidKeyId             what names no key
        ├── InvalidPattern           an AllowedPattern that cannot be used
        ├── PatternMismatch          a value that its AllowedPattern does not allow
        ├── InvalidPolicies          policies that cannot be used
        │   ├── UnknownPolicyType    a policy of another type than the three there are
        │   ├── InvalidPolicyAttribute  an attribute that is missing, too much, or cannot be read
        │   ├── IncompatiblePolicies policies that contradict each other
        │   └── TooManyPolicies      more than a parameter may have
        ├── ParameterTaken           the parameter exists, and is not to be overwritten
        ├── TooManyParameters        more than an account and region may have
        ├── VersionsExhausted        no room for a version: the oldest has a label
        ├── UnknownParameter         no parameter has this name
        ├── UnknownVersion           no version of the parameter has this number or label
        └── TooManyLabels            more labels than a version may have
"""

from __future__ import annotations

from patchwright.core.errors import PatchwrightError


class ParametersError(PatchwrightError):
    """What the parameters room refuses."""


class InvalidName(ParametersError):
    """A name that no parameter can have."""


class ReservedName(InvalidName):
    """A name below /aws, where only AWS's own parameters are."""


class TooDeep(InvalidName):
    """A hierarchy of more levels than there may be."""


class InvalidParameter(ParametersError):
    """Members that contradict each other, the value, or the parameter that is there."""


class TypeChanged(InvalidParameter):
    """Another type than the parameter has."""


class UnsupportedType(InvalidParameter):
    """A type that cannot hold data of this kind."""


class InvalidKeyId(ParametersError):
    """What names no key."""


class InvalidPattern(ParametersError):
    """An AllowedPattern that is no regular expression, or takes too long."""


class PatternMismatch(ParametersError):
    """A value that its AllowedPattern does not allow."""


class InvalidPolicies(ParametersError):
    """Policies that cannot be used."""


class UnknownPolicyType(InvalidPolicies):
    """A policy of another type than the three there are."""


class InvalidPolicyAttribute(InvalidPolicies):
    """An attribute of a policy that is missing, is too much, or cannot be read."""


class IncompatiblePolicies(InvalidPolicies):
    """Policies that contradict each other."""


class TooManyPolicies(InvalidPolicies):
    """More policies than a parameter may have."""


class ParameterTaken(ParametersError):
    """The parameter exists, and is not to be overwritten."""


class TooManyParameters(ParametersError):
    """More parameters than an account and region may have."""


class VersionsExhausted(ParametersError):
    """There is no room for another version: the oldest has a label."""


class UnknownParameter(ParametersError):
    """No parameter has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Parameter {name} not found.")
        self.name = name


class UnknownVersion(ParametersError):
    """No version of the parameter has this number or label."""


class TooManyLabels(ParametersError):
    """More labels than a version may have."""
