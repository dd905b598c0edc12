# SPDX-License-Identifier: Apache-2.0
"""
Names of parameters: what they may be, and what they refer to (spec §1.19).

A parameter's identity is its *path*: its name with one leading slash. `web` and `/web` are the same parameter, since both
have the same ARN; a name of several levels is never without the slash.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from patchwright.server.accounts import Scope
from patchwright.server.parameters.errors import InvalidName, ReservedName, TooDeep, UnknownParameter

LEVELS = 15
LONGEST_ARN = 1011
ROOT = "/"

_LEVEL = r"[A-Za-z0-9_.-]+"
_NAME = re.compile(rf"/?{_LEVEL}(/{_LEVEL})*\Z")
_PATH = re.compile(rf"(/{_LEVEL})+/?\Z")
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]*):([0-9]*):parameter(/.*)\Z", re.DOTALL)
_LABEL = re.compile(r"(?![0-9])(?!aws|ssm)[A-Za-z0-9_.-]{1,100}\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,18}\Z")

_WRONG_PREFIX = 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
_WRONG_NAME = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths'
    " divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"
)
_WRONG_PATH = (
    'The parameter doesn\'t meet the parameter name requirements. The parameter name must begin with a forward slash "/".'
    ' It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the following'
    " symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified,"
    ' must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


class Reference(NamedTuple):
    """
    What a caller calls a parameter or one version of it.

    *name* is the name without selector, *selector* `:3`, `:label` or empty; *version* and *label* are what it says.
    """

    name: str
    path: str
    selector: str = ""
    version: int | None = None
    label: str | None = None


def new_name(scope: Scope, text: str) -> str:
    """The name that a parameter can be created with. Errors: InvalidName, ReservedName, TooDeep."""
    name = text.strip(" ")
    if not _NAME.match(name):
        raise InvalidName(_WRONG_NAME)
    if "/" in name and not name.startswith("/"):
        msg = "Parameter name must be a fully qualified name."
        raise InvalidName(msg)
    lowered = name.lower()
    if lowered.startswith(("aws", "ssm")):
        raise InvalidName(_WRONG_PREFIX)
    if lowered.startswith("/ssm"):
        raise InvalidName(_WRONG_NAME)
    if lowered.startswith("/aws"):
        msg = f"No access to reserved parameter name: {name}."
        raise ReservedName(msg)
    path = path_of(name)
    if path.count("/") > LEVELS:
        msg = f"A parameter hierarchy can have at most {LEVELS} levels; this name has {path.count('/')}."
        raise TooDeep(msg)
    if len(arn(scope, path)) > LONGEST_ARN:
        msg = f"The parameter's ARN would be longer than {LONGEST_ARN} characters: give it a shorter name."
        raise InvalidName(msg)
    return name


def known_name(text: str) -> str:
    """The name of a parameter that may exist, without selector. Errors: InvalidName."""
    name = text.strip(" ")
    if not _NAME.match(name) or ("/" in name and not name.startswith("/")) or path_of(name).lower().startswith("/ssm"):
        raise InvalidName(_WRONG_NAME)
    return name


def reference(scope: Scope, text: str) -> Reference:
    """
    What *text* refers to: a name or an ARN, with or without a selector.

    Errors: InvalidName; UnknownParameter for another account's or region's ARN, and for what has two selectors.
    """
    whole = text.strip(" ")
    found = _ARN.match(whole)
    if found and found.groups()[:2] != (scope.region, scope.account):
        raise UnknownParameter(whole)
    name, colon, selector = (found[3] if found else whole).partition(":")
    if ":" in selector:
        raise UnknownParameter(whole)
    name = known_name(name)
    if not colon:
        return Reference(name, path_of(name))
    if _NUMBER.match(selector):
        return Reference(name, path_of(name), colon + selector, version=int(selector))
    return Reference(name, path_of(name), colon + selector, label=selector)


def hierarchy(text: str) -> str:
    """The path of a level of the hierarchy, without a slash at its end; "/" is the top. Errors: InvalidName."""
    path = text.strip(" ")
    if path == ROOT:
        return path
    if not _PATH.match(path) or path.lower().startswith("/ssm") or path.rstrip("/").count("/") > LEVELS:
        raise InvalidName(_WRONG_PATH)
    return path.rstrip("/")


def path_of(name: str) -> str:
    """The path of a name."""
    return "/" + name.removeprefix("/")


def parent_of(path: str) -> str:
    """The path without its last level."""
    return path.rpartition("/")[0] or ROOT


def arn(scope: Scope, path: str) -> str:
    """The ARN of the parameter at *path*."""
    return f"arn:aws:ssm:{scope.region}:{scope.account}:parameter{path}"


def is_label(text: str) -> bool:
    """Whether a version can have *text* as a label."""
    return _LABEL.match(text) is not None
