# SPDX-License-Identifier: Apache-2.0
"""Which function serves which operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.server import commands, nodes, patching
from patchwright.server.aws.patchwright import PatchwrightOperations
from patchwright.server.aws.ssm.baselines import BaselineOperations
from patchwright.server.aws.ssm.commands import CommandOperations
from patchwright.server.aws.ssm.nodes import NodeOperations
from patchwright.server.aws.ssm.states import StateOperations
from patchwright.server.aws.ssm.tags import TagOperations
from patchwright.server.commands import Waking
from patchwright.server.infra import Clock, Database
from patchwright.server.wire import Handler, Pager


@dataclass(frozen=True)
class Services:
    """What the operations are served with."""

    database: Database
    clock: Clock
    pager: Pager
    waking: Waking
    directory: nodes.Service
    commands: commands.Service
    baselines: patching.Baselines
    verdicts: patching.Verdicts
    online_seconds: float


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations that are served, by target."""
    pager = services.pager
    baselines = BaselineOperations(services.baselines, pager)
    invoked = CommandOperations(services.commands, pager, services.waking)
    managed = NodeOperations(
        services.database, services.directory, services.clock, pager=pager, online_seconds=services.online_seconds
    )
    states = StateOperations(services.verdicts, pager)
    tagged = TagOperations(services.database)
    own = PatchwrightOperations(services.verdicts)
    return {
        "AmazonSSM.AddTagsToResource": tagged.add_tags_to_resource,
        "AmazonSSM.CreateActivation": managed.create_activation,
        "AmazonSSM.CreatePatchBaseline": baselines.create_patch_baseline,
        "AmazonSSM.DescribeInstanceInformation": managed.describe_instance_information,
        "AmazonSSM.DescribeInstancePatchStates": states.describe_instance_patch_states,
        "AmazonSSM.DescribeInstancePatches": states.describe_instance_patches,
        "AmazonSSM.DescribePatchBaselines": baselines.describe_patch_baselines,
        "AmazonSSM.DescribePatchProperties": baselines.describe_patch_properties,
        "AmazonSSM.GetCommandInvocation": invoked.get_command_invocation,
        "AmazonSSM.GetPatchBaseline": baselines.get_patch_baseline,
        "AmazonSSM.GetPatchBaselineForPatchGroup": baselines.get_patch_baseline_for_patch_group,
        "AmazonSSM.ListCommandInvocations": invoked.list_command_invocations,
        "AmazonSSM.ListTagsForResource": tagged.list_tags_for_resource,
        "AmazonSSM.RegisterPatchBaselineForPatchGroup": baselines.register_patch_baseline_for_patch_group,
        "AmazonSSM.RemoveTagsFromResource": tagged.remove_tags_from_resource,
        "AmazonSSM.SendCommand": invoked.send_command,
        "AmazonSSM.UpdatePatchBaseline": baselines.update_patch_baseline,
        "Patchwright.GetVerdict": own.get_verdict,
    }
