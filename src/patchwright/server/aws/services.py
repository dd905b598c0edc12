# SPDX-License-Identifier: Apache-2.0
"""What the operations are served with."""

from __future__ import annotations

from dataclasses import dataclass

from patchwright.server import (
    commands,
    compliance,
    documents,
    events,
    inventory,
    nodes,
    outputs,
    parameters,
    patching,
    reports,
    settings,
    windows,
)
from patchwright.server.accounts import Access, AuditService
from patchwright.server.aws.authority import Warden
from patchwright.server.aws.links import SnapshotLinks
from patchwright.server.aws.output_links import OutputLinks
from patchwright.server.commands import Waking
from patchwright.server.config import Quotas
from patchwright.server.infra import BucketOwners, Clock, Database
from patchwright.server.wire import Pager


@dataclass(frozen=True)
class Services:
    """The rooms' services, and what the edge itself needs. Each module of operations takes what it translates to."""

    database: Database
    clock: Clock
    pager: Pager
    quotas: Quotas
    waking: Waking
    warden: Warden
    owners: BucketOwners
    directory: nodes.Service
    documents: documents.Service
    commands: commands.Service
    compliance: compliance.Service
    inventory: inventory.Service
    parameters: parameters.Service
    baselines: patching.Baselines
    catalogue: patching.Catalogue
    groups: patching.Groups
    snapshots: patching.Snapshots
    snapshot_links: SnapshotLinks
    access: Access
    verdicts: patching.Verdicts
    settings: settings.Service
    maintenance: windows.Service
    executions: windows.Executions
    forecasts: windows.Forecasts
    feeds: windows.Feeds
    url: str
    outputs: outputs.Service
    output_links: OutputLinks
    syncs: reports.Syncs
    patch_reports: reports.PatchReports
    audit: AuditService
    subscriptions: events.Subscriptions
    online_seconds: float
