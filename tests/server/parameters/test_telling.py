# SPDX-License-Identifier: Apache-2.0
"""A parameter that changes is told of (spec §7.7); what it says is not."""

from __future__ import annotations

from patchwright.server import events
from patchwright.server.config import Quotas
from patchwright.server.events import Search, Subscriptions
from patchwright.server.parameters import delete_expired
from server.parameters.test_parameters import expiring


async def told(store):
    """Every event of the account, oldest first."""
    await events.number_waiting(store.database)
    service = Subscriptions(store.database, store.clock, Quotas(), master=None, postman=None)
    found, _ = await service.events(store.scope, Search(), before=None, limit=500)
    return [one.envelope for one in reversed(found)]


async def test_what_is_done_to_a_parameter_is_told_and_not_what_it_says(store):
    """Created, changed, labelled, deleted: each once, with name, type and description."""
    await store.put("/app/key", "s3cret-value", type="SecureString", description="a key")
    store.clock.time += 1
    await store.put("/app/key", "n3w-secret", type="SecureString", overwrite=True)
    await store.service.label(store.scope, "/app/key", 1, ["live", "no label!"])
    await store.service.label(store.scope, "/app/key", 1, ["also"])
    store.clock.time += 1
    await store.put("plain", "v")
    await store.service.delete(store.scope, "/app/key")
    found = await told(store)
    assert [(one["detail"]["operation"], one["detail"]["name"]) for one in found] == [
        ("Create", "/app/key"),
        ("Update", "/app/key"),
        ("LabelParameterVersion", "/app/key"),
        ("LabelParameterVersion", "/app/key"),
        ("Create", "plain"),
        ("Delete", "/app/key"),
    ]
    assert found[1]["detail"] == {
        "operation": "Update",
        "name": "/app/key",
        "type": "SecureString",
        "description": "a key",
    }
    account = store.scope.account
    assert found[1]["resources"] == [f"arn:aws:ssm:us-east-1:{account}:parameter/app/key"]
    assert found[4]["resources"] == [f"arn:aws:ssm:us-east-1:{account}:parameter/plain"]
    assert "s3cret" not in str(found)
    assert "n3w" not in str(found)


async def test_a_parameter_whose_time_has_come_is_told_to_be_deleted(store):
    """It goes by itself, and is told as if somebody had deleted it, after the policy that did it."""
    await store.put("/app/soon", tier="Advanced", policies=expiring(store.clock.now() + 60))
    store.clock.time += 120
    await delete_expired(store.database, store.clock)
    operations = [one["detail"].get("operation", one["detail"].get("policy-type")) for one in await told(store)]
    assert operations == ["Create", "Expiration", "Delete"]
