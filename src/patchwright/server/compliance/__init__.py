# SPDX-License-Identifier: Apache-2.0
"""
Compliance: items of every type by node, and their summaries.

The door. `Service` has the use cases that stand alone; the functions are units of work for those who end operations,
take nodes away, or tell more of a node.
"""

from __future__ import annotations

from patchwright.server.compliance.filters import ITEM_KEYS, SUMMARY_KEYS, BadFilter, Comparison, Filter
from patchwright.server.compliance.filters import check as check_filters
from patchwright.server.compliance.model import (
    ASSOCIATION,
    NON_COMPLIANT,
    PATCH,
    RESOURCE_TYPE,
    SEVERITIES,
    ComplianceError,
    Entry,
    Execution,
    InvalidItems,
    ItemTooLarge,
    Listed,
    Record,
    Standing,
    Summary,
    Tally,
    TooLarge,
    TooManyTypes,
    UnknownResource,
    Upload,
)
from patchwright.server.compliance.service import (
    START,
    Cursor,
    Service,
    entries,
    forget,
    of_each,
    of_node,
    of_nodes,
    refresh,
)

__all__ = [
    "ASSOCIATION",
    "ITEM_KEYS",
    "NON_COMPLIANT",
    "PATCH",
    "RESOURCE_TYPE",
    "SEVERITIES",
    "START",
    "SUMMARY_KEYS",
    "BadFilter",
    "Comparison",
    "ComplianceError",
    "Cursor",
    "Entry",
    "Execution",
    "Filter",
    "InvalidItems",
    "ItemTooLarge",
    "Listed",
    "Record",
    "Service",
    "Standing",
    "Summary",
    "Tally",
    "TooLarge",
    "TooManyTypes",
    "UnknownResource",
    "Upload",
    "check_filters",
    "entries",
    "forget",
    "of_each",
    "of_node",
    "of_nodes",
    "refresh",
]
