# SPDX-License-Identifier: Apache-2.0
"""Words of the form NAME=VALUE: parameters, tags, and the nodes that have tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click


class Pair(click.ParamType[tuple[str, str]]):
    """A word such as `env=dev`, given on as the name and the value; the value may be empty."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Fails with a sentence for a word without `=`, or without a name before it."""
        if isinstance(value, tuple):
            return value
        name, equals, rest = value.partition("=")
        if not equals or not name:
            self.fail(f"{param.make_metavar(ctx) if param and ctx else self.name} is wanted, not {value!r}", param, ctx)
        return name, rest


PAIR = Pair()


def api_tags(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """*pairs* as the API's Tags."""
    return [{"Key": key, "Value": value} for key, value in pairs]


def tag_targets(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """The API's Targets for nodes with the tags *pairs*; commas divide the values any of which will do."""
    return [{"Key": f"tag:{key}", "Values": value.split(",")} for key, value in pairs]
