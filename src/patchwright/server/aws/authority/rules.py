# SPDX-License-Identifier: Apache-2.0
"""What a call has to be allowed: which action, on which resources, under which condition keys. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.wire import Caller

Keys = Mapping[str, Sequence[str]]
Request = Mapping[str, Any]
NO_KEYS: Keys = MappingProxyType({})
DOCUMENT, WINDOW, NODE = tags.DOCUMENT, tags.MAINTENANCE_WINDOW, tags.MANAGED_INSTANCE
PARAMETER, BASELINE = tags.PARAMETER, tags.PATCH_BASELINE
TAGGING_ACTION = "ssm:AddTagsToResource"

_PARTITION = re.compile(r"\Aarn:aws[a-z-]*:")


class Access(StrEnum):
    """What a call does, in AWS's levels. The last three change something."""

    LIST = "List"
    READ = "Read"
    WRITE = "Write"
    TAGGING = "Tagging"
    PERMISSIONS = "Permissions management"

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self not in {Access.LIST, Access.READ}


class Demand(NamedTuple):
    """
    One thing that must be allowed: an *action* (empty: the operation's own) on the resource *arn*.

    *kind* and *name* say under what the resource keeps its tags, empty where it has none; *keys* are condition keys of this
    demand alone.
    """

    arn: str
    kind: str = ""
    name: str = ""
    action: str = ""
    keys: Keys = NO_KEYS


About = Callable[[Caller, Request], Sequence[Demand]]


@dataclass(frozen=True)
class Rule:
    """
    What one operation asks for: its *action*, what that is *about*, and what it does (*access*).

    *free*: nobody needs permission for it. *keys* are condition keys of the whole request.
    """

    action: str
    access: Access
    about: About
    keys: Callable[[Request], Keys] | None = None
    free: bool = False


def whole(service: str) -> About:
    """About no resource in particular: AWS puts `arn:aws:ssm:REGION:ACCOUNT:*` to the policies then."""
    return lambda caller, _request: [Demand(f"arn:aws:{service}:{caller.region}:{caller.account}:*")]


def canonical(arn: str) -> str:
    """An ARN as policies name it, whichever partition a caller writes."""
    return _PARTITION.sub("arn:aws:", arn)


def resource(scope: Scope, kind: str, name: str) -> str:
    """The ARN of something of Systems Manager."""
    return f"arn:aws:ssm:{scope.region}:{scope.account}:{kind}/{name}"


def node(scope: Scope, instance_id: str) -> Demand:
    """About a node. Ids of EC2 have their ARN there, whether or not such a node is here."""
    if instance_id.startswith("i-"):
        return Demand(f"arn:aws:ec2:{scope.region}:{scope.account}:instance/{instance_id}", NODE, instance_id)
    return Demand(resource(scope, "managed-instance", instance_id), NODE, instance_id)


def window(scope: Scope, window_id: str) -> Demand:
    """About a maintenance window; what is in it belongs to it."""
    return Demand(resource(scope, "maintenancewindow", window_id), WINDOW, window_id)


def request_tags(given: Sequence[Mapping[str, str]]) -> Keys:
    """The condition keys of tags that a request brings."""
    keys: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": [tag["Value"]] for tag in given}
    return {**keys, "aws:TagKeys": [tag["Key"] for tag in given]} if given else NO_KEYS


def tagged_at_birth(arn: str, request: Request) -> list[Demand]:
    """What the tags ask for that something is made with: the right to tag it."""
    return [Demand(arn, action=TAGGING_ACTION)] if request.get("Tags") else []
