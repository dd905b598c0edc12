# SPDX-License-Identifier: Apache-2.0
"""What is asked of a policy, what it says, and the error of one that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError


class MalformedPolicy(PatchwrightError):
    """A policy document that cannot be read: *path* names the element (`Statement[1].Action`), *why* what is wrong with it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path
        self.why = why


class Context(dict[str, Sequence[str]]):
    """
    The condition keys of a request, folded: names are in lower case, since they are compared without regard to case.

    Keys that differ in case only become one with the values of all of them. Whoever decides about many resources of one
    request folds once: `Context(of_the_request).extended(of_the_resource)`.
    """

    def __init__(self, given: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__()
        if given:
            self._add(given)

    def extended(self, more: Mapping[str, Sequence[str]]) -> Context:
        """A copy with *more* in it."""
        copy = Context()
        copy.update(self)
        copy._add(more)
        return copy

    def _add(self, given: Mapping[str, Sequence[str]]) -> None:
        for key, values in given.items():
            name = key.lower()
            several = (values,) if isinstance(values, str) else values  # a string is a sequence of letters, never meant
            self[name] = (*self[name], *several) if name in self else several


class Asked(NamedTuple):
    """
    May *action* be done on *resource*?

    Args:
        action: `ssm:SendCommand`; compared without regard to case.
        resource: An ARN, or `*` for an action that is about no resource.
        context: Condition keys with their values, `{"ssm:resourceTag/env": ["dev"]}`; a `Context` is taken as it is. It is
            looked at only where a statement asks for it.
        principals: The names that the caller answers to in the `Principal` of a trust policy: the ARNs of the caller (for
            a session: that of its role as well), or of a service its host name. Its account follows from the ARNs.
    """

    action: str
    resource: str
    context: Mapping[str, Sequence[str]] = {}
    principals: Sequence[str] = ()


class Ruling(NamedTuple):
    """
    The answer. *statement* names the one that decided, `Sid Nightly` or `statement 2`; empty where none applies.

    An explicit deny is `not allowed and statement`; without a statement the denial is implicit.
    """

    allowed: bool
    statement: str
    action: str

    @property
    def explicit(self) -> bool:
        """Whether a statement said so, and not its absence."""
        return bool(self.statement)

    @property
    def reason(self) -> str:
        """The answer in words, for logs and the audit trail."""
        if not self.statement:
            return f"no statement allows {self.action}"
        return f"{'allowed' if self.allowed else 'explicit deny'} by {self.statement}"


def folded(context: Mapping[str, Sequence[str]]) -> Context:
    """*context* with its names folded."""
    return context if isinstance(context, Context) else Context(context)


def account_of(arn: str) -> str:
    """The account in an ARN; empty where there is none."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def accounts_of(principals: Iterable[str]) -> set[str]:
    """The accounts of *principals*."""
    return {account for account in map(account_of, principals) if account}
