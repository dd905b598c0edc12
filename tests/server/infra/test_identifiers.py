# SPDX-License-Identifier: Apache-2.0
"""New identifiers."""

from __future__ import annotations

import re
import uuid

from patchwright.server.infra import RequestIds, new_id, new_uuid


def test_resource_identifiers_have_the_form_of_aws() -> None:
    """A prefix, a hyphen, 17 hexadecimal digits; never the same twice."""
    drawn = {new_id("pb") for _ in range(1000)}

    assert len(drawn) == 1000
    assert all(re.fullmatch(r"pb-[0-9a-f]{17}", identifier) for identifier in drawn)


def test_uuids_are_random_ones_in_lower_case() -> None:
    """Version 4, canonical text."""
    for text in {new_uuid() for _ in range(100)}:
        assert uuid.UUID(text).version == 4
        assert str(uuid.UUID(text)) == text


def test_request_ids_are_uuids_and_no_two_are_alike():
    """Those of one process share their beginning; another process begins elsewhere."""
    first, other = RequestIds(), RequestIds()
    made = [first.next() for _ in range(1000)] + [other.next() for _ in range(1000)]

    assert len(set(made)) == 2000
    assert all(uuid.UUID(one).version == 4 for one in made)
    assert len({one[:24] for one in made}) == 2
