# SPDX-License-Identifier: Apache-2.0
"""The types of inventory, and how items are named by their content (spec §7.2)."""

from __future__ import annotations

from patchwright.core.inventory import (
    MAX_ATTRIBUTES,
    MAX_NAME,
    SCHEMAS,
    canonical,
    content_hash,
    sort_rows,
)

# How many attributes each type has, and which of them are numbers, counted in AWS's guide.
COUNTS = {
    "AWS:AWSComponent": (7, 0),
    "AWS:Application": (11, 0),
    "AWS:BillingInfo": (1, 0),
    "AWS:ComplianceItem": (20, 0),
    "AWS:ComplianceSummary": (20, 12),
    "AWS:File": (12, 0),
    "AWS:InstanceDetailedInformation": (7, 4),
    "AWS:InstanceInformation": (11, 0),
    "AWS:Network": (8, 0),
    "AWS:PatchCompliance": (6, 0),
    "AWS:PatchSummary": (23, 11),
    "AWS:Process": (13, 0),
    "AWS:ResourceGroup": (2, 0),
    "AWS:Service": (7, 0),
    "AWS:Tag": (2, 0),
    "AWS:WindowsRegistry": (4, 0),
    "AWS:WindowsRole": (11, 0),
    "AWS:WindowsUpdate": (4, 0),
}


def test_there_are_the_eighteen_types_of_the_guide():
    """With as many attributes and numbers; every version is 1.0 but that of applications."""
    counted = {
        name: (len(schema.attributes), sum(one.number for one in schema.attributes)) for name, schema in SCHEMAS.items()
    }
    assert counted == COUNTS
    assert {name: schema.version for name, schema in SCHEMAS.items() if schema.version != "1.0"} == {
        "AWS:Application": "1.1"
    }
    for schema in SCHEMAS.values():
        assert len(set(schema.names)) == len(schema.names) <= MAX_ATTRIBUTES
        assert max(map(len, schema.names)) <= MAX_NAME


def test_a_hash_names_rows_and_not_the_order_of_their_attributes():
    """Another value, another row, another order of rows: another hash."""
    rows = [{"a": "1", "b": "ü"}, {"a": "2"}]
    assert content_hash(rows) == content_hash([{"b": "ü", "a": "1"}, {"a": "2"}])
    assert len({content_hash(one) for one in (rows, rows[::-1], rows[:1], [{"a": "1", "b": "u"}], [])}) == 5
    assert canonical([]) == b"[]"


def test_rows_found_in_another_order_are_the_same_content():
    """Once they are sorted."""
    rows = [{"a": "2"}, {"a": "1", "b": "1"}, {"b": "0"}, {"a": "1"}]
    assert sort_rows(rows) == sort_rows(rows[::-1]) == [{"a": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"b": "0"}]
