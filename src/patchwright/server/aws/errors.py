# SPDX-License-Identifier: Apache-2.0
"""
What the rooms' errors are called on the wire (spec §1.18). The text is the error's own.

Where one error has another name in one operation, that operation's function says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.core import errors as core
from patchwright.server import commands, compliance, inventory, nodes, patching, settings, tags
from patchwright.server.infra import TokenReused, Unavailable

ERRORS: Mapping[type[Exception], str] = {
    core.InvalidParameters: "InvalidParameters",
    core.MalformedBaseline: "ValidationException",
    core.MalformedDocument: "InvalidDocument",
    core.MalformedFacts: "InvalidFactsException",
    core.MalformedMessage: "ValidationException",
    core.MalformedVersion: "InvalidFactsException",
    core.ImpossibleTransition: "InvalidOperationException",
    core.PlanRefused: "PlanRefusedException",
    TokenReused: "IdempotentParameterMismatch",
    Unavailable: "ServiceUnavailableException",
    commands.DuplicateInstance: "DuplicateInstanceId",
    commands.InvalidTargets: "ValidationException",
    commands.UnknownCommand: "InvalidCommandId",
    commands.UnknownDocument: "InvalidDocument",
    commands.UnknownDocumentVersion: "InvalidDocumentVersion",
    commands.UnknownInstances: "InvalidInstanceId",
    commands.UnknownInvocation: "InvocationDoesNotExist",
    commands.UnknownStep: "InvalidPluginName",
    compliance.BadFilter: "InvalidFilter",
    compliance.InvalidItems: "InvalidItemContentException",
    compliance.ItemTooLarge: "ItemSizeLimitExceededException",
    compliance.TooLarge: "TotalSizeLimitExceededException",
    compliance.TooManyTypes: "ComplianceTypeCountLimitExceededException",
    compliance.UnknownResource: "InvalidResourceId",
    inventory.InvalidOption: "InvalidOptionException",
    inventory.MalformedAggregator: "InvalidAggregatorException",
    inventory.MalformedContext: "InvalidInventoryItemContextException",
    inventory.MalformedFilter: "InvalidFilter",
    inventory.MalformedGroup: "InvalidInventoryGroupException",
    inventory.TooManySubTypes: "SubTypeCountLimitExceededException",
    inventory.TooManyTypes: "CustomSchemaCountLimitExceededException",
    inventory.TotalTooLarge: "TotalSizeLimitExceededException",
    inventory.UnknownDeletion: "InvalidDeletionIdException",
    inventory.UnknownResult: "InvalidResultAttributeException",
    inventory.UnknownType: "InvalidTypeNameException",
    inventory.UnsupportedVersion: "UnsupportedInventorySchemaVersionException",
    nodes.ActivationRefused: "InvalidActivation",
    nodes.MissingRole: "ValidationException",
    nodes.UnknownActivation: "InvalidActivation",
    nodes.UnknownNode: "InvalidInstanceId",
    patching.GroupTaken: "AlreadyExistsException",
    patching.MalformedBaselineId: "InvalidResourceId",
    patching.OperationRefused: "InvalidOperationException",
    patching.ReadOnlyBaseline: "AccessDeniedException",
    patching.TooManyBaselines: "ResourceLimitExceededException",
    patching.TooManyGroups: "ResourceLimitExceededException",
    patching.UnknownBaseline: "DoesNotExistException",
    patching.UnknownOperation: "DoesNotExistException",
    settings.MalformedPolicy: "MalformedResourcePolicyDocumentException",
    settings.PolicyConflict: "ResourcePolicyConflictException",
    settings.UnknownPolicy: "ResourcePolicyNotFoundException",
    settings.UnknownSetting: "ServiceSettingNotFound",
    settings.UnsuitableValue: "ValidationException",
    tags.InvalidTag: "ValidationException",
    tags.TooManyTags: "TooManyTagsError",
}
