# SPDX-License-Identifier: Apache-2.0
"""Java's regular expressions, as service models write them, in Python's dialect."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

_CATEGORY = re.compile(r"\\p\{(\w)\}")
_LEADING_FLAGS = re.compile(r"\A\(\?([a-z]+)\)")
# Java reads the hyphen of `[\w-\/]` as itself; Python refuses a range that begins with a class.
_HYPHEN_AFTER_CLASS = re.compile(r"(\\[wds])-(?!\])")


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
        java = _CATEGORY.sub(lambda found: _category(found[1]), java)
    java = _HYPHEN_AFTER_CLASS.sub(r"\1\\-", java)
    text = rf"{f'(?{flags})' if flags else ''}\A(?:{java})\Z"
    re.compile(text)
    return text


@lru_cache(maxsize=8)
def _category(letter: str) -> str:
    """The inside of a character class for the general category *letter*."""
    if letter in "LN":
        return r"\w"
    wanted = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == letter]
    ranges: list[list[int]] = []
    for code in wanted:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
