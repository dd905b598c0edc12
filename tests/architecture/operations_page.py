# SPDX-License-Identifier: Apache-2.0
"""
docs/reference/operations.md, made from the service models, from what the edges serve, and from operations.toml beside this.

`PYTHONPATH=tests .venv/bin/python -m architecture.operations_page` writes it anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from patchwright.server import gateway
from patchwright.server.aws import operations
from patchwright.server.wire import load_models

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations.md"
PREFIX = "AmazonSSM"
HEAD = """\
# Operations

This page is made from the service models, the code and `tests/architecture/operations.toml`, and held to them by a test:
change that file, not this one.

What this version answers. Every other operation of the Systems Manager model is refused with
`UnsupportedOperationException` and says so; unknown targets get `UnknownOperationException`.

Requests are `POST /` with `X-Amz-Target: PREFIX.Operation`, JSON 1.1, signed with Signature Version 4.

## For clients of the AWS API (`AmazonSSM`, signing name `ssm`)
"""
TAIL = """
## Our own (`Patchwright`, signing name `patchwright`)

| operation | what |
|---|---|
| GetOutput | `CommandId`, `InstanceId`, `StepName` (none: the only one), `Stream` (stdout), `Offset`, `WaitSeconds` → `Body`, `NextOffset`, `Ended`, `Truncated`: what a step prints, from `Offset` on, at most 256 KiB; waited for where there is nothing yet: [outputs.md](outputs.md) |
| ListOutputs | `CommandId`, `InstanceId`, `MaxResults`, `NextToken` → `Invocations`: the `Streams` of each, how much of them is kept, where they are written, or why not yet |
| RunMaintenanceWindow | `WindowId` → `WindowExecutionId`: opens a window now, out of its schedule, disabled or not; refused while an execution of it is under way |
| DescribeSchedule | `Schedule`, `ScheduleTimezone`, `ScheduleOffset`, `MaxResults` (1 to 100, default 10) → `Description` in English, `Firings` to come; there need be no window |
| GetCalendar | `Days` (1 to 366, default 30) → `Entries` of enabled windows in order of time, at most 2,000 (`Truncated`); `ICalendar`, the same for calendar programs |
| GetForecast | `WindowId`, `At` (default: the next opening), `Verdict` (those only), `MaxResults` (1 to 1,000, default 50), `NextToken` → how many nodes fit, do not, and of how many [nobody can say](../howto/know-whether-a-window-is-long-enough.md); `Tasks` with `EndsP50` and `EndsP95`; `Nodes` with `Verdict`, `SecondsP50`, `SecondsP95`, `StartsBy`, `EndsBy` |
| CreateCalendarFeed | `Name`, `WindowId`, `Tags` (windows have all of them), `Days` (1 to 366, default 90) → `CalendarFeed`, and `Url`, this once: what a [calendar program](../howto/subscribe-to-the-calendar.md) reads without a key |
| ListCalendarFeeds | `MaxResults`, `NextToken` → `CalendarFeeds`, in order of id: `FeedId`, `Name`, `WindowId`, `Tags`, `Days`, `Owner`, `CreatedAt` |
| DeleteCalendarFeed | `FeedId`: its link leads nowhere from now on |
| GetVerdict | `InstanceId` → `Document`, JSON text: `LiveVerdict` (today's baseline over the newest facts, with their age and the doubts about them), `Node`, and `LastOperation`, kept apart |
| ExportPatchReport | `BucketName`, `Prefix`, `Region` (default: the caller's), `InstanceId` → the report whole, written to a bucket: `BucketName`, `Key`, `Bytes` |
| ExportAuditTrail | `Region` (default: the caller's, `*`: all), `NextToken` → `Lines`: the [audit trail](audit.md) as lines of JSON; pages are put together as they come |
| ListAuditEntries | `User`, `Resource`, `Region`, `Operation`, `Result`, `StartTime`, `EndTime`, `Unattributed`, `MaxResults`, `NextToken` → `Entries` of the [audit trail](audit.md), newest first; a page may be short |
| CreateAccount | `Name` → `Account`, and `AccessKey`, that of its root, whose secret is shown this once. Like the next three for the root of the first account alone: [identities.md](identities.md) |
| ListAccounts | `MaxResults`, `NextToken` → `Accounts`: `AccountId`, `Name`, `State` (Active, Disabled), `CreatedAt` |
| DisableAccount | `AccountId` → `Account`: within a second nothing is answered that its keys, sessions and nodes sign |
| EnableAccount | `AccountId` → `Account`: it goes on |
| PutSubscription | `Name`, `Url`, `Pattern`, `Description`, `Enabled`, `Secret` → `Subscription`, and `Secret` where one was made, this once: [events.md](events.md). Without `Pattern` it hears of no event, only of what is addressed to it: it is the topic `arn:aws:sns:REGION:ACCOUNT:NAME` |
| GetSubscription | `Name` → `Subscription`, and `Deliveries`: how many are `Pending`, `Delivered`, `Dead` |
| ListSubscriptions | `MaxResults`, `NextToken` → `Subscriptions`, in order of name |
| DeleteSubscription | `Name` |
| ListDeliveries | `Name`, `State`, `MaxResults`, `NextToken` → `Deliveries`, newest first, with the status and reason of the last attempt |
| RedeliverEvents | `Name`, `EventId` (none: everything that is `Dead`) → `Count` |
| ListEvents | `Subject` (the id of a node, window, command …), `DetailType`, `Pattern`, `StartTime`, `EndTime`, `MaxResults`, `NextToken` → `Events`, newest first, each with the envelope as text; a page may be short |
| VerifyAuditTrail | `Head`, `NextToken` → `Findings`, `Seals`, `Entries`, `Unsealed`, and with the last page `Head` |
| GetPatchReport | `InstanceId` (none: every node), `MaxResults` rows, `NextToken` → `Report`: a page of CSV text, the first with the names of the columns; pages are put together as they come |

## For agents

Signed with the node's own key, which is its `mi-` id and the secret that enrolment gave it; only Enroll is anonymous.

| target | what |
|---|---|
| `AmazonSSM.RegisterManagedInstance` | an activation becomes a node that signs with the RSA key it sent; the same key again is the same node |
| `AmazonSSM.RequestManagedInstanceRoleToken` | signed with the node's own key: a session of an hour; another Fingerprint than at the registration is refused |
| `AmazonSSM.UpdateManagedInstancePublicKey` | the key the node signs with from its next use on; until then the one before counts as well |
| `AmazonSSM.UpdateInstanceInformation` | the node is there |
| `AmazonSSM.ListInstanceAssociations`, `AmazonSSM.UpdateInstanceAssociationStatus` | asked for by amazon-ssm-agent; there are no associations yet |
| `EC2WindowsMessageDeliveryService.GetMessages` | long poll, 15 seconds |
| `EC2WindowsMessageDeliveryService.AcknowledgeMessage` | the command is journalled on the node |
| `EC2WindowsMessageDeliveryService.SendReply` | what a command came to |
| `EC2WindowsMessageDeliveryService.FailMessage` | the node can make nothing of a message |
| `Patchwright.PutOutput` | a piece of what a step prints; the answer says how far it is kept: [outputs.md](outputs.md) |
| `ssmmessages.CreateControlChannel` | a token for the control channel, a WebSocket at `/v1/control-channel/mi-…` on which messages come and replies go instead of being polled for and posted; refused with `--control-channel off` |
| `Patchwright.Enroll` | an activation becomes a node |
| `Patchwright.BeginOperation`, `Patchwright.PutFacts`, `Patchwright.PutBodies`, `Patchwright.PutResolution`, `Patchwright.PutOverrides` | the patch exchange, drawn in `core/protocol.py`, with its history; since version 2 BeginOperation answers the baseline's Sources and facts say which they were taken with, since version 3 it names the files of InstallOverrideList and BaselineOverride, which the node fetches and sends, since version 5 it says whether the node is to go on and until when, and facts are numbered |
| `Patchwright.GetPatchCheck` | whether the patch steps that come next in a document have anything to do (`patchwright:patchCheck`) |
| `Patchwright.DescribeAgent` | version and SHA-256 of the agent that this server hands out |

## Beside the API

`GET /healthz` (200 when ready), `GET /metrics` (Prometheus), `GET /agent/patchwright-agent.pyz`, `GET /agent/install.sh`,
`GET /snapshots/…` (what the link of GetDeployablePatchSnapshotForInstance downloads, for 24 hours: [patches.md](patches.md)),
`GET /events/stream` (events as they come, signed: [events.md](events.md)), `GET /outputs/…` (what the link of an output downloads, for
24 hours), and whatever is signed for S3: [outputs.md](outputs.md).
"""


# Services of AWS beside Systems Manager: what they are for, and their notes in operations.toml.
OTHERS = {"iam": "Users, groups, roles, policies, access keys", "sts": "Who asks, and sessions"}


def words() -> dict[str, Any]:
    """What operations.toml says."""
    return tomllib.loads((Path(__file__).parent / "operations.toml").read_text())


def served() -> set[str]:
    """The targets of both edges."""
    return {*operations(MagicMock()), *gateway.operations(MagicMock())}


def for_clients() -> set[str]:
    """The operations of the Systems Manager model that clients of the AWS API are served."""
    return {target.partition(".")[2] for target in operations(MagicMock()) if target.startswith(f"{PREFIX}.")}


def modelled() -> set[str]:
    """The operations of the Systems Manager model."""
    service = load_models().service(PREFIX)
    return set(service.operation_names)


def page() -> str:
    """The page as it ought to be."""
    told, answered = words(), for_clients()
    groups = [line for group in told["groups"] for line in group_lines(group, told, answered)]
    others = [line for prefix, title in OTHERS.items() for line in other_lines(prefix, title, told[prefix])]
    return "\n".join([HEAD, *overview(told["groups"], answered), *groups, *others[:-1]]) + TAIL


def other_lines(prefix: str, title: str, notes: dict[str, str]) -> Iterator[str]:
    """The section of another service: the operations that are served; every other one of its model is refused."""
    yield f"## {title} (`{prefix}`, signing name `{prefix}`)"
    yield ""
    yield "Query protocol; the region of the signature does not matter. How it works here: [identities.md](identities.md)."
    yield ""
    yield "| operation | what is weaker than AWS's, or different |"
    yield "|---|---|"
    for target in sorted(served()):
        service, _, name = target.partition(".")
        if service == prefix:
            yield f"| {name} | {notes.get(name, '')} |".replace("|  |", "| |")
    yield ""


def overview(groups: list[dict[str, Any]], answered: set[str]) -> Iterator[str]:
    """A row for each group: how much of it is served."""
    yield "| group | served | refused | why refused |"
    yield "|---|---|---|---|"
    for group in groups:
        count = sum(name in answered for name in group["operations"])
        rest = len(group["operations"]) - count
        yield f"| {group['title']} | {count} | {rest} | {group.get('refused', 'not built yet') if rest else ''} |"
    yield ""


def group_lines(group: dict[str, Any], told: dict[str, Any], answered: set[str]) -> Iterator[str]:
    """The section of a group."""
    yield f"### {group['title']}"
    yield ""
    yield "| operation | state | what is weaker than AWS's, or different |"
    yield "|---|---|---|"
    for name in group["operations"]:
        if name in answered:
            yield f"| {name} | served | {told['notes'].get(name, '')} |".replace("|  |", "| |")
        else:
            yield f"| {name} | refused | {told['refused'].get(name) or group.get('refused', 'not built yet')} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"written: {PAGE}")
