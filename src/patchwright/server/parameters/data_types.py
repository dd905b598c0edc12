# SPDX-License-Identifier: Apache-2.0
"""Data types of a value, and what each holds: as the service model names them; the forms are ours where it does not say."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from patchwright.server.parameters.errors import InvalidParameter

TEXT = "text"
FOR_STRINGS = frozenset({"aws:ec2:image", "aws:ssm:integration"})
ADVANCED_ONLY = frozenset({"url", "json", "jsonc"})

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def check(data_type: str, value: str) -> None:
    """Raise InvalidParameter where there is no such data type, or the value is none of it."""
    if data_type not in _HOLDS:
        msg = f"The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        raise InvalidParameter(msg)
    if not _HOLDS[data_type](value):
        msg = f"The value doesn't have the form that the data type {data_type} requires."
        raise InvalidParameter(msg)


def _anything(_value: str) -> bool:
    return True


def _form(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(rf"(?:{pattern})\Z", re.ASCII)
    return lambda value: compiled.match(value) is not None


def _email(value: str) -> bool:
    name, at, host = value.rpartition("@")
    return bool(at) and re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", name) is not None and _hostname(host)


def _hostname(value: str) -> bool:
    return _HOST.match(value) is not None


def _address(kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            kind(value)
        except ValueError:
            return False
        return True

    return holds


def _url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.hostname) and value.isprintable() and " " not in value and parts.port != 0
    except ValueError:
        return False


def _binary(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return True


def _json(value: str) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _jsonc(value: str) -> bool:
    bare = _without_comments(value)
    return bare is not None and _json(bare)


def _without_comments(value: str) -> str | None:
    """JSON of *value* without comments and trailing commas, in one pass; None where a text or a comment does not end."""
    kept: list[str] = []
    last, at = -1, 0  # where in *kept* the last sign is that is no space; where in *value* we are
    while at < len(value):
        begins = value[at : at + 2]
        if begins == "//":
            end = value.find("\n", at)
            end, sign = (len(value) if end < 0 else end), " "
        elif begins == "/*":
            end, sign = value.find("*/", at + 2) + 2, " "
        elif begins[0] == '"':
            found = _STRING.match(value, at)
            end, sign = (found.end(), found[0]) if found else (0, "")
        else:
            end, sign = at + 1, begins[0]
        if end <= at:
            return None
        if sign in {"]", "}"} and last >= 0 and kept[last] == ",":
            kept[last] = " "
        kept.append(sign)
        last = last if sign.isspace() else len(kept) - 1
        at = end
    return "".join(kept)


# Whether an image exists is not asked: there is nobody here to ask.
_HOLDS: Mapping[str, Callable[[str], bool]] = {
    TEXT: _anything,
    "aws:account:id": _form("[0-9]{12}"),
    "aws:ec2:image": _form("ami-([0-9a-f]{8}|[0-9a-f]{17})"),
    "aws:region": _form("[a-z]{2,8}(-[a-z0-9]{1,12}){1,3}-[0-9]{1,2}"),
    "aws:ssm:integration": _anything,
    "binary": _binary,
    "boolean": _form("true|false"),
    "email": _email,
    "float": _form(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"),
    "hostname": _hostname,
    "integer": _form("[+-]?[0-9]+"),
    "ipv4-address": _address(ipaddress.IPv4Address),
    "ipv6-address": _address(ipaddress.IPv6Address),
    "json": _json,
    "jsonc": _jsonc,
    "url": _url,
}
