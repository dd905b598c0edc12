# SPDX-License-Identifier: Apache-2.0
"""Java's regular expressions, as service models write them, in Python's dialect."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_PART = re.compile(r"\\p\{(\w+)\}|\\.|[\[\]]|[^\\\[\]]+", re.DOTALL)
_CATEGORY = re.compile(r"\\p\{[A-Z][a-z]?\}")
_POSIX = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"!-/:-@\[-`{-~",
    "Space": r"\s",
    "Upper": "A-Z",
}
_LEADING_FLAGS = re.compile(r"\A\(\?([a-z]+)\)")
# Java reads the hyphen of `[\w-\/]` as itself; Python refuses a range that begins with a class.
_HYPHEN_AFTER_CLASS = re.compile(r"(\\[wds])-(?!\])")
# Java writes a character beyond U+FFFF as a pair.
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def python_pattern(java: str) -> str:
    r"""
    *java* in Python's dialect, anchored at both ends: AWS matches whole values.

    `\w`, `\d` and `\s` are ASCII in Java. A pattern with Unicode categories is read in Unicode mode; there `\p{L}` and
    `\p{N}` become `\w`, which adds the underscore: every AWS pattern that names one names the other and the underscore
    (or all punctuation) beside them. Raises re.error for what Python cannot express.
    """
    flags = "a"
    leading = _LEADING_FLAGS.match(java)
    if leading:
        flags += leading[1]
        java = java[leading.end() :]
    if _CATEGORY.search(java):
        flags = flags.replace("a", "")
    java = "".join(_named(java))
    java = _PAIR.sub(lambda found: f"\\U{_joined(int(found[1], 16), int(found[2], 16)):08x}", java)
    java = _HYPHEN_AFTER_CLASS.sub(r"\1\\-", java)
    text = rf"{f'(?{flags})' if flags else ''}\A(?:{java})\Z"
    re.compile(text)
    return text


def _named(java: str) -> Iterator[str]:
    r"""The parts of *java*, each `\p{…}` replaced by the characters it names: in a class of its own unless it stands in one."""
    inside = False
    for part in _PART.finditer(java):
        if part[1] is not None:
            yield _category(part[1]) if inside else f"[{_category(part[1])}]"
            continue
        inside = part[0] == "[" or (inside and part[0] != "]")
        yield part[0]


def _joined(high: int, low: int) -> int:
    """The character that a pair stands for."""
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)


@lru_cache(maxsize=16)
def _category(name: str) -> str:
    """The inside of a character class for a general category, or for one of POSIX's names. Raises re.error."""
    if name in _POSIX:
        return _POSIX[name]
    if name in {"L", "N"}:
        return r"\w"
    wanted = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith(name)]
    if not wanted:
        raise re.error(f"no characters are called {name}")
    ranges: list[list[int]] = []
    for code in wanted:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
