# SPDX-License-Identifier: Apache-2.0
"""Parameters and what a PutParameter makes of them (spec §1.16, §1.19)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from patchwright.server.accounts import Scope
from patchwright.server.parameters import data_types, policies
from patchwright.server.parameters.data_types import TEXT
from patchwright.server.parameters.errors import (
    InvalidKeyId,
    InvalidParameter,
    TypeChanged,
    UnsupportedType,
)
from patchwright.server.parameters.names import path_of

STRING, STRING_LIST, SECURE_STRING = "String", "StringList", "SecureString"
STANDARD, ADVANCED, INTELLIGENT = "Standard", "Advanced", "Intelligent-Tiering"
DEFAULT_KEY = "alias/aws/ssm"
VERSIONS = 100
LABELS = 10
STANDARD_CHARACTERS, ADVANCED_CHARACTERS = 4096, 8192

_KEY = r"(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_KMS = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:"
_KEY_ID = re.compile(rf"(({_KMS}key/)?{_KEY}|({_KMS})?alias/[a-zA-Z0-9/_-]+)\Z")
_NESTED = re.compile(r"\{\{[^{}]*\}\}")

_TOO_LONG_FOR_STANDARD = (
    f"Standard tier parameters support a maximum parameter value of {STANDARD_CHARACTERS} characters. To create a larger"
    " parameter value, upgrade the parameter to use the advanced-parameter tier."
)
_TOO_LONG = f"Advanced tier parameters support a maximum parameter value of {ADVANCED_CHARACTERS} characters."
_DOWNGRADE = (
    "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to"
    " the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard"
    " parameter."
)
_TAGS_AND_OVERWRITE = (
    "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite"
    " flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource."
)


@dataclass(frozen=True)
class Parameter:
    """
    One version of a parameter.

    Of a SecureString the store keeps *sealed* and no *value*; *value* is then what the caller is shown: the secret, or the
    sealed bytes as base64. Neither shows in the repr.
    """

    path: str
    name: str
    version: int
    type: str
    value: str | None = field(repr=False)
    sealed: bytes | None = field(repr=False)
    key_id: str
    description: str
    allowed_pattern: str
    tier: str
    policies: tuple[str, ...]
    data_type: str
    modified_at: float
    modified_by: str
    expires_at: float | None = None
    labels: tuple[str, ...] = ()

    @property
    def secure(self) -> bool:
        """Whether the value is a secret."""
        return self.type == SECURE_STRING

    def seal_label(self, scope: Scope) -> str:
        """What binds the sealed value to this version of this parameter."""
        return f"parameter/{scope.account}/{scope.region}{self.path}:{self.version}"


@dataclass(frozen=True)
class Change:
    """
    What PutParameter asks for; None: not said.

    *name* was checked. *policies* are read when the change is made. The value does not show in the repr.
    """

    name: str
    value: str = field(repr=False)
    overwrite: bool = False
    type: str | None = None
    description: str | None = None
    key_id: str | None = None
    allowed_pattern: str | None = None
    tier: str | None = None
    policies: str | None = None
    data_type: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The path of the parameter."""
        return path_of(self.name)

    def check(self) -> None:
        """Raise InvalidParameter unless the members go together and the value can be one."""
        if self.overwrite and self.tags:
            raise InvalidParameter(_TAGS_AND_OVERWRITE)
        if not self.value:
            msg = (
                "1 validation error detected: Value '' at 'value' failed to satisfy constraint:"
                " Member must have length greater than or equal to 1."
            )
            raise InvalidParameter(msg)
        if len(self.value) > ADVANCED_CHARACTERS:
            raise InvalidParameter(_TOO_LONG)
        if _NESTED.search(self.value):
            msg = 'Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.'
            raise InvalidParameter(msg)


def revise(
    before: Parameter | None, change: Change, *, now: float, principal: str, standard_full: bool = False
) -> Parameter:
    """
    The version that *change* makes of the newest one, or of nothing; the value is not sealed yet.

    What the change does not say stays as it was. *standard_full*: there may be no further parameter of the standard tier,
    so Intelligent-Tiering makes an advanced one.

    Errors: InvalidParameter, TypeChanged, UnsupportedType, InvalidKeyId, InvalidPolicies and those below it.
    """
    kind = _type(before, change)
    data_type = _data_type(before, change, kind)
    texts = before.policies if before else ()
    if change.policies is not None:
        texts = policies.read(change.policies, now=now)
    needs = bool(texts) or data_type in data_types.ADVANCED_ONLY
    tier = _tier(before, change, needs=needs, standard_full=standard_full)
    return Parameter(
        path=change.path,
        name=before.name if before else change.name,
        version=before.version + 1 if before else 1,
        type=kind,
        value=change.value,
        sealed=None,
        key_id=_key_id(before, change, kind),
        description=_stays(change.description, before.description if before else ""),
        allowed_pattern=_stays(change.allowed_pattern, before.allowed_pattern if before else ""),
        tier=tier,
        policies=texts,
        data_type=data_type,
        modified_at=now,
        modified_by=principal,
        expires_at=policies.expiry(texts),
    )


def sealed(parameter: Parameter, secret: bytes) -> Parameter:
    """*parameter* as it is stored: with the sealed value in place of the plain one."""
    return replace(parameter, value=None, sealed=secret)


def _stays(given: str | None, before: str) -> str:
    return before if given is None else given


def _type(before: Parameter | None, change: Change) -> str:
    """A secret may become plain text; every other change of type needs a new parameter."""
    if before is None:
        if change.type is None:
            msg = "A parameter type is required when you create a parameter."
            raise InvalidParameter(msg)
        return change.type
    kind = change.type or before.type
    if kind != before.type and not before.secure:
        msg = f"The parameter is a {before.type} and cannot become a {kind}: create a new, unique parameter."
        raise TypeChanged(msg)
    return kind


def _data_type(before: Parameter | None, change: Change, kind: str) -> str:
    data_type = change.data_type or (before.data_type if before else TEXT)
    data_types.check(data_type, change.value)
    holders = {STRING} if data_type in data_types.FOR_STRINGS else {STRING, SECURE_STRING}
    if data_type != TEXT and kind not in holders:
        msg = f"The data type {data_type} is not for parameters of type {kind}."
        raise UnsupportedType(msg)
    if before is not None and data_type != before.data_type:
        msg = f"The data type of a parameter cannot be changed from {before.data_type} to {data_type}."
        raise InvalidParameter(msg)
    return data_type


def _key_id(before: Parameter | None, change: Change, kind: str) -> str:
    if kind != SECURE_STRING:
        return ""
    if change.key_id is None:
        return before.key_id if before else DEFAULT_KEY
    if not _KEY_ID.match(change.key_id):
        msg = "The key ID isn't valid: it takes a key's id or ARN, or alias/NAME."
        raise InvalidKeyId(msg)
    return change.key_id


def _tier(before: Parameter | None, change: Change, *, needs: bool, standard_full: bool) -> str:
    long = len(change.value) > STANDARD_CHARACTERS
    advanced_before = before is not None and before.tier == ADVANCED
    if change.tier == ADVANCED or (change.tier != STANDARD and advanced_before):
        return ADVANCED
    if change.tier == INTELLIGENT:
        return ADVANCED if long or needs or (standard_full and before is None) else STANDARD
    if advanced_before:
        raise InvalidParameter(_DOWNGRADE)
    if long:
        raise InvalidParameter(_TOO_LONG_FOR_STANDARD)
    if needs:
        msg = "Parameter policies and the data types url, json and jsonc need the advanced-parameter tier."
        raise InvalidParameter(msg)
    return STANDARD
