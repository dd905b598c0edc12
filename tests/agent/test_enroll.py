# SPDX-License-Identifier: Apache-2.0
"""Becoming a managed node: once, whatever gets lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from agent.simulator import ACCOUNT, REGION, Refusal
from agent.stage import NODE

ACTIVATION, CODE = "11111111-2222-3333-4444-555555555555", "a-code-of-twenty-characters"


@pytest.fixture
def enroll(simulator, tmp_path):
    """Runs `enroll`; answers exit code, output and errors."""

    def run(*more: str, code: str = CODE, env: dict[str, str] | None = None, stdin: str = ""):
        words = ["--activation-code", code] if code else []
        argv = [
            "enroll",
            "--server",
            simulator.url,
            "--activation-id",
            ACTIVATION,
            *words,
            "--state-dir",
            str(tmp_path / "state"),
        ]
        result = subprocess.run(
            [sys.executable, "-I", str(NODE), *argv, *more],
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return result.returncode, result.stdout, result.stderr

    return run


def test_enrolment_leaves_an_identity_only_its_owner_reads(simulator, enroll, tmp_path):
    """The answer is written with mode 0600 into a directory of mode 0700, and nothing secret is printed."""
    code, out, err = enroll()
    (instance_id,) = simulator.nodes

    assert (code, out) == (0, f"enrolled as {instance_id} in account {ACCOUNT}, region {REGION}\n")
    path = tmp_path / "state" / "identity.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    identity = json.loads(path.read_text())
    assert identity["secret"] == simulator.nodes[instance_id]
    assert identity["server"] == simulator.url
    assert identity["secret"] not in out + err
    assert not (tmp_path / "state" / "enrollment.json").exists()


def test_enrolment_says_what_the_node_is(simulator, enroll):
    """The request carries the platform and a token, and is not signed."""
    enroll()
    ((_, members),) = [call for call in simulator.calls if call[0] == "Enroll"]

    assert members["PlatformName"] == "Debian GNU/Linux"
    assert members["IPAddress"] == "127.0.0.1"
    assert 32 <= len(members["EnrollmentToken"]) <= 64
    assert "Authorization" not in simulator.raw[0]


def test_a_lost_answer_uses_up_no_second_registration(simulator, enroll):
    """The server enrolled the node and the answer was lost: the same words again give the same node."""
    simulator.losing["Enroll"] = 2  # the request on a kept connection is repeated by the transport
    first, _, err = enroll()
    second, out, _ = enroll()

    assert (first, second) == (1, 0)
    assert "run the same again" in err
    assert len(simulator.nodes) == 1
    assert next(iter(simulator.nodes)) in out


def test_an_enrolled_node_does_not_enrol_again(simulator, enroll):
    """A second enrolment is refused and names the identity there is; --force replaces it."""
    enroll()
    code, _, err = enroll()

    assert code == 1
    assert "enrolled already" in err
    assert len(simulator.nodes) == 1
    assert enroll("--force")[0] == 0
    assert len(simulator.nodes) == 2


def test_a_bad_activation_is_refused_with_the_servers_words(simulator, enroll, tmp_path):
    """Exit code 1, the server's message, no identity."""
    code, _, err = enroll(code="another-code-that-is-wrong")

    assert code == 1
    assert "InvalidActivation: The activation is not valid." in err
    assert not (tmp_path / "state" / "identity.json").exists()


def test_the_code_may_stay_off_the_command_line(simulator, enroll):
    """From the environment or from standard input, where no process list shows it."""
    assert enroll(code="", env={"PATCHWRIGHT_ACTIVATION_CODE": CODE})[0] == 0
    assert enroll("--force", code="-", stdin=CODE + "\n")[0] == 0
    assert len(simulator.nodes) == 2


def test_without_a_code_it_is_usage(enroll):
    """No code anywhere: exit code 2."""
    assert enroll(code="")[0] == 2


def test_a_server_that_is_away_changes_nothing(simulator, enroll, tmp_path):
    """No answer: exit code 1, no identity, and the token kept for the next try."""
    simulator.refusing["Enroll"] = Refusal("InternalServerError", "oh", 500)
    code, _, err = enroll()
    token = json.loads((tmp_path / "state" / "enrollment.json").read_text())["token"]
    enroll()

    assert code == 1
    assert "500" in err
    assert {members["EnrollmentToken"] for name, members in simulator.calls if name == "Enroll"} == {token}
    assert stat.S_IMODE((tmp_path / "state" / "enrollment.json").stat().st_mode) == 0o600


def test_plain_http_to_another_machine_is_refused(enroll, simulator):
    """Without --insecure-http nothing is sent to a plain-text server elsewhere."""
    simulator.url = "http://192.0.2.1:8473"
    code, _, err = enroll()

    assert code == 1
    assert "--insecure-http" in err
