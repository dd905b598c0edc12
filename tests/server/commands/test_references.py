# SPDX-License-Identifier: Apache-2.0
"""`{{ssm:NAME}}`: filled in when a command is sent, for those who may read it, and once (spec §5.9)."""

from __future__ import annotations

import json

import pytest

from patchwright.server import documents, parameters
from patchwright.server.accounts import MasterKey
from patchwright.server.commands import Permitted, UnresolvedParameter
from patchwright.server.config import Quotas
from patchwright.server.documents import TooLarge

SCRIPT = "AWS-RunShellScript"


@pytest.fixture
def store(bench):
    """Puts parameters."""
    service = parameters.Service(bench.database, bench.clock, Quotas(), MasterKey(b"k" * 32))

    async def put(name, value, **members):
        change = parameters.Change(name, value, **{"type": "String", **members})
        return await service.put(bench.scope, change, principal="someone")

    return put


async def sent(bench, *lines, document=SCRIPT, **more):
    """A script for a new node: what its sender sees of it, and what the node is handed."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node, document_name=document, parameters={"commands": list(lines)}, **more)
    (delivery,) = await bench.take(node)
    return command, delivery.payload


async def test_values_are_filled_in_for_the_node_and_shown_as_they_were_given(bench, store):
    """By name, and by version; blanks do not matter."""
    await store("/app/port", "80")
    await store("/app/port", "81", overwrite=True)

    command, payload = await sent(bench, "curl :{{ssm:/app/port}}", "curl :{{ ssm:/app/port:1 }}")

    assert payload["Parameters"]["commands"] == ["curl :81", "curl :80"]
    shown = await bench.service.command(bench.scope, command.id)
    assert shown.request.parameters == {"commands": ["curl :{{ssm:/app/port}}", "curl :{{ ssm:/app/port:1 }}"]}
    assert shown.parameters == {"commands": ["curl :81", "curl :80"]}


async def test_what_is_filled_in_is_not_looked_at_again(bench, store):
    """A value may look like a parameter of the document: it is text."""
    await store("odd", "{ { ssm:odd } } {{workingDirectory}")

    _, payload = await sent(bench, "echo {{ssm:odd}}")

    assert payload["Parameters"]["commands"] == ["echo { { ssm:odd } } {{workingDirectory}"]


async def test_a_list_becomes_values_of_a_list(bench, store):
    """Where it stands alone; inside a text its values are joined."""
    await store("lines", "date,uptime", type="StringList")

    _, payload = await sent(bench, "{{ssm:lines}}", "echo {{ssm:lines}}")

    assert payload["Parameters"]["commands"] == ["date", "uptime", "echo date,uptime"]


async def test_documents_refer_to_parameters_too(bench, store):
    """In defaults and inputs; the document itself stays as it is."""
    await store("place", "/srv")
    content = {
        "schemaVersion": "2.2",
        "description": "d",
        "parameters": {"where": {"type": "String", "default": "{{ssm:place}}"}, "commands": {"type": "StringList"}},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "go",
                "inputs": {"runCommand": ["cd {{ where }}", "ls {{ssm:place}}"]},
            }
        ],
    }
    made = documents.Service(bench.database, bench.clock, Quotas())
    await made.create(bench.scope, "Refer", documents.Draft(json.dumps(content)), kind="Command", author="someone")

    _, payload = await sent(bench, "x", document="Refer")

    assert payload["DocumentContent"]["parameters"]["where"]["default"] == "/srv"
    assert payload["Parameters"]["where"] == "/srv"
    assert payload["DocumentContent"]["mainSteps"][0]["inputs"]["runCommand"] == ["cd {{ where }}", "ls /srv"]


@pytest.mark.parametrize("name", ["none", "secret", "plain:9", "plain:label", "with space/", "aws:/x"])
async def test_what_cannot_be_filled_in_is_refused(bench, store, name):
    """No such parameter, version or label, or a secret: nothing is sent."""
    await store("plain", "v")
    await store("secret", "s3cret", type="SecureString")
    reference = "{{ssm:" + name.replace(" ", "") + "}}"

    with pytest.raises(UnresolvedParameter) as refused:
        await sent(bench, reference)

    assert "s3cret" not in str(refused.value)
    assert await bench.service.commands(bench.scope) == []


async def test_who_may_not_read_a_parameter_may_not_send_it(bench, store):
    """Whoever could would read what is kept from them off a node."""
    await store("mine", "1")
    await store("theirs", "2")
    (node,) = await bench.nodes(1)

    def reach(_scope, ids):
        yield from ()
        return set(ids)

    def read(_scope, names):
        yield from ()
        return {"mine"} & set(names)

    async def send(line):
        request = bench.request(instance_ids=(node,), document_name=SCRIPT, parameters={"commands": [line]})
        return await bench.service.send(bench.scope, "somebody", request, permitted=Permitted(reach, read))

    await send("echo {{ssm:mine}}")
    with pytest.raises(UnresolvedParameter, match="theirs"):
        await send("echo {{ssm:mine}} {{ssm:theirs}}")


async def test_what_is_filled_in_has_a_limit(bench, store):
    """A short text may refer to a lot."""
    await store("big", "x" * 8000, tier="Advanced")

    with pytest.raises(TooLarge):
        await sent(bench, *["{{ssm:big}}"] * 40)
    with pytest.raises(UnresolvedParameter, match="51"):
        await sent(bench, *["{{ssm:n" + str(number) + "}}" for number in range(51)])
