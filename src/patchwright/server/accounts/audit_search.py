# SPDX-License-Identifier: Apache-2.0
"""What is asked of the audit trail, and what its entries are found by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from patchwright.core.audit import Entry


@dataclass(frozen=True)
class Question:
    """
    Which entries of an account are asked for; what is empty is not asked.

    *user* is a principal's ARN, the last part of it, or the id of an access key; *operation* a target or the part of it after the
    dot. *since* and *until* are ids: moments stand at their beginning.
    """

    account: str
    user: str = ""
    resource: str = ""
    region: str = ""
    operation: str = ""
    result: str = ""
    since: str = ""
    until: str = ""

    @property
    def words(self) -> list[str]:
        """What the entries are found by."""
        return [word for word in (self.user, self.resource) if word]

    def fits(self, entry: Entry) -> bool:
        """Whether *entry*, of this account and time, is asked for."""
        return (
            (not self.user or self.user in users_of(entry))
            and (not self.resource or self.resource in entry.resources)
            and (not self.region or self.region == entry.region)
            and (not self.operation or self.operation in {entry.target, entry.target.rpartition(".")[2]})
            and (not self.result or self.result == entry.result)
        )


def words_of(entry: Entry) -> list[str]:
    """What an entry is found by."""
    return sorted({*users_of(entry), *entry.resources} - {""})


def users_of(entry: Entry) -> set[str]:
    """What the caller may be called."""
    name = entry.principal.rpartition(":")[2].rpartition("/")[2]
    return {entry.principal, name, entry.key_id} - {""}
