# SPDX-License-Identifier: Apache-2.0
"""Documents as Amazon's agent can run them: steps of ours become scripts, everything else stays (design D6)."""

from __future__ import annotations

import json

from farm.amazon_agent import AmazonAgent
from patchwright.server.gateway.rendering import rendered

FLOW = {"timeoutSeconds": "7200", "onFailure": "exit", "finallyStep": "true"}


def script(action, name):
    """Says what it was made for."""
    return f"#!/bin/sh\n# {action}\nrun {name}"


def payload(*steps):
    """Of a command whose document has these steps."""
    document = {"schemaVersion": "2.2", "parameters": {"Operation": {"type": "String"}}, "mainSteps": list(steps)}
    return {"CommandId": "c", "DocumentContent": document, "Parameters": {"Operation": "Scan; rm -rf /"}}


def test_a_step_of_ours_becomes_a_script_with_the_same_place_in_the_flow():
    """Its name, precondition, time and what follows from it stay; its other inputs are left out."""
    patch = {
        "action": "patchwright:patch",
        "name": "PatchLinux",
        "precondition": {"StringEquals": ["platformType", "Linux"]},
        "inputs": {**FLOW, "Operation": "{{ Operation }}"},
    }

    found = rendered(payload(patch), script)["DocumentContent"]["mainSteps"]

    lines = ["#!/bin/sh", "# patchwright:patch", "run PatchLinux"]
    assert found == [{**patch, "action": "aws:runShellScript", "inputs": {**FLOW, "runCommand": lines}}]


def test_no_value_of_a_parameter_gets_into_a_script():
    """Neither a reference that the agent would fill in."""
    check = {"action": "patchwright:patchCheck", "name": "Check", "inputs": {"Operation": "{{ Operation }}"}}

    (step,) = rendered(payload(check), script)["DocumentContent"]["mainSteps"]

    assert "{{" not in json.dumps(step)
    assert "rm -rf" not in json.dumps(step)


def test_other_steps_and_other_messages_stay_as_they_are():
    """What Amazon's agent knows it gets as it was written."""
    shell = {"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["{{ Operation }}"]}}
    old = {"DocumentContent": {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{}]}}}}
    cancel = {"CancelMessageId": "aws.ssm.c.mi-0123456789abcdef0"}

    for untouched in (payload(shell), old, cancel):
        assert rendered(untouched, script) is untouched


def test_what_was_rendered_is_what_the_agent_runs(tmp_path):
    """A document of a step of ours and one of a user, as Amazon's agent carries it out."""
    ran, replies = [], []

    def run(text, environment, *, seconds, cancelled):
        ran.append((text, environment["SSM_COMMAND_ID"], seconds))
        return 0, "", ""

    class Upstream:
        def reply(self, message_id, content, reply_id):
            replies.append(json.loads(content)["documentStatus"])

        def acknowledge(self, message_id, status):
            replies.append(status)

    agent = AmazonAgent("http://127.0.0.1:1", tmp_path, run=run)
    agent.share_credentials = lambda: tmp_path / "credentials"
    agent._keep("mi-0123456789abcdef0", agent_key())
    steps = [
        {"action": "patchwright:patch", "name": "PatchLinux", "inputs": {"timeoutSeconds": "7200"}},
        {"action": "aws:runShellScript", "name": "after", "inputs": {"runCommand": ["echo {{ Operation }}"]}},
    ]
    content = json.dumps(rendered(payload(*steps), script))

    agent.take("aws.ssm.c.mi-0123456789abcdef0", "aws.ssm.sendCommand", content, Upstream())

    assert ran == [(script("patchwright:patch", "PatchLinux"), "c", 7200.0), ("echo Scan; rm -rf /", "c", 3600.0)]
    assert replies == ["InProgress", 200, "InProgress", "InProgress", "Success"]


def agent_key():
    """A key for an agent that signs nothing."""
    from server.gateway.amazon import keys

    return next(keys())
