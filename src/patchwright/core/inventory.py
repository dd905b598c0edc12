# SPDX-License-Identifier: Apache-2.0
"""
Inventory: the types AWS has, what they may say, and how an item is named by its content (spec §7.2, §7.3).

An item is a list of rows; a row says a text for each attribute, numbers too. Pure.
"""

from __future__ import annotations

import hashlib
import json
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

Row = Dict[str, str]

CUSTOM_PREFIX = "Custom:"
MAX_ROWS = 10_000  # of one item
MAX_ATTRIBUTES = 50  # of one row, and of one custom type
MAX_NAME = 64  # characters of an attribute's name
MAX_VALUE = 4096  # characters of a value
MAX_TYPE_NAME = 100
MAX_ITEMS = 30  # of one PutInventory
MAX_BYTES = 1024 * 1024  # of the contents of one PutInventory

INSTANCE_INFORMATION = "AWS:InstanceInformation"
APPLICATION = "AWS:Application"
COMPONENT = "AWS:AWSComponent"
NETWORK = "AWS:Network"
DETAILED_INFORMATION = "AWS:InstanceDetailedInformation"
SERVICE = "AWS:Service"
PATCH_SUMMARY = "AWS:PatchSummary"
PATCH_COMPLIANCE = "AWS:PatchCompliance"
COMPLIANCE_ITEM = "AWS:ComplianceItem"
COMPLIANCE_SUMMARY = "AWS:ComplianceSummary"
TAG = "AWS:Tag"
RESOURCE_GROUP = "AWS:ResourceGroup"


class Attribute(NamedTuple):
    """One attribute of a type. *number*: its texts are numbers. *counted*: AWS names it among those to aggregate by."""

    name: str
    number: bool = False
    counted: bool = False


class Schema(NamedTuple):
    """What the items of a type may say. *display_name* is for people."""

    type_name: str
    version: str
    display_name: str
    attributes: Tuple[Attribute, ...]

    @property
    def names(self) -> Tuple[str, ...]:
        """The names of the attributes, in order."""
        return tuple(attribute.name for attribute in self.attributes)


# Name, version, attributes. `#`: the attribute is a number. `*`: AWS names it among those to aggregate by.
_TABLE = """
AWS:AWSComponent 1.0 Name ApplicationType Publisher Version InstalledTime Architecture URL
AWS:Application 1.1 Name* ApplicationType Publisher Version* Release Epoch InstalledTime Architecture URL Summary
    PackageId
AWS:BillingInfo 1.0 BillingProductId
AWS:ComplianceItem 1.0 ComplianceType ExecutionId ExecutionType ExecutionTime Id Title Status Severity DocumentName
    DocumentVersion Classification PatchBaselineId PatchSeverity PatchState PatchGroup InstalledTime
    InstallOverrideList DetailedText DetailedLink CVEIds
AWS:ComplianceSummary 1.0 ComplianceType PatchGroup PatchBaselineId Status OverallSeverity ExecutionId ExecutionType
    ExecutionTime CompliantCriticalCount# CompliantHighCount# CompliantMediumCount# CompliantLowCount#
    CompliantInformationalCount# CompliantUnspecifiedCount# NonCompliantCriticalCount# NonCompliantHighCount#
    NonCompliantMediumCount# NonCompliantLowCount# NonCompliantInformationalCount# NonCompliantUnspecifiedCount#
AWS:File 1.0 Name Size Description FileVersion InstalledDate ModificationTime LastAccessTime ProductName InstalledDir
    ProductLanguage CompanyName ProductVersion
AWS:InstanceDetailedInformation 1.0 CPUModel CPUCores# CPUs# CPUSpeedMHz# CPUSockets# CPUHyperThreadEnabled
    OSServicePack
AWS:InstanceInformation 1.0 AgentType AgentVersion ComputerName InstanceId IpAddress PlatformName* PlatformType*
    PlatformVersion* ResourceType AgentStatus InstanceStatus
AWS:Network 1.0 Name SubnetMask Gateway DHCPServer DNSServer MacAddress IPV4 IPV6
AWS:PatchCompliance 1.0 Title KBId Classification Severity State InstalledTime
AWS:PatchSummary 1.0 PatchGroup BaselineId SnapshotId OwnerInformation InstalledCount# InstalledPendingRebootCount#
    InstalledOtherCount# InstalledRejectedCount# NotApplicableCount# UnreportedNotApplicableCount# MissingCount#
    FailedCount# OperationType OperationStartTime OperationEndTime InstallOverrideList RebootOption
    LastNoRebootInstallOperationTime ExecutionId NonCompliantSeverity SecurityNonCompliantCount#
    CriticalNonCompliantCount# OtherNonCompliantCount#
AWS:Process 1.0 StartTime CommandLine User FileName FileVersion FileDescription FileSize CompanyName ProductName
    ProductVersion InstalledDate InstalledDir UsageId
AWS:ResourceGroup 1.0 Name* Arn
AWS:Service 1.0 Name* DisplayName* ServiceType* Status* DependentServices ServicesDependedOn StartType*
AWS:Tag 1.0 Key Value
AWS:WindowsRegistry 1.0 KeyPath ValueName ValueType Value
AWS:WindowsRole 1.0 Name* DisplayName* Path FeatureType* DependsOn Description Installed* InstalledState SubFeatures
    ServerComponentDescriptor Parent
AWS:WindowsUpdate 1.0 HotFixId Description InstalledTime InstalledBy
"""
_DISPLAY = {"AWS:InstanceInformation": "Platform"}  # AWS's word; the others are called as they are named


def _schema(type_name: str, version: str, *words: str) -> Schema:
    attributes = tuple(Attribute(word.rstrip("#*"), word.endswith("#"), word.endswith("*")) for word in words)
    return Schema(type_name, version, _DISPLAY.get(type_name, type_name.partition(":")[2]), attributes)


SCHEMAS: Mapping[str, Schema] = {
    schema.type_name: schema
    for schema in (_schema(*line.split()) for line in _TABLE.replace("\n    ", " ").strip().splitlines())
}
"""AWS's own types by name (spec §7.2, the table)."""


def canonical(rows: Sequence[Mapping[str, str]]) -> bytes:
    """The bytes of *rows*: compact JSON, attributes in order of name, rows in the order given."""
    return json.dumps([dict(row) for row in rows], sort_keys=True, separators=(",", ":")).encode()


def content_hash(rows: Sequence[Mapping[str, str]]) -> str:
    """
    The ContentHash our agent gives *rows*.

    AWS's agents give an MD5; whoever reads it compares it and nothing else, and MD5 is refused on hardened systems.
    """
    return hashlib.sha256(canonical(rows)).hexdigest()


def sort_rows(rows: Sequence[Row]) -> List[Row]:
    """*rows* by name and then by all they say, so that the same things found in another order are the same content."""
    return sorted(rows, key=lambda row: (row.get("Name", ""), sorted(row.items())))
