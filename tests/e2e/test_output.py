# SPDX-License-Identifier: Apache-2.0
"""What a script prints on a real node gets to the server and into its bucket byte for byte, whatever happens in between."""

from __future__ import annotations

import signal

import pytest

from .station import STATE_DIR, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

BUCKET, PLUGIN = "outputs", "awsrunShellScript"
SAYS = ["for number in $(seq 1 4000); do echo line $number; done", "until test -e /go; do sleep 0.05; done"]
LATER = ["for number in $(seq 4001 60000); do echo line $number; done", "echo oops >&2"]


def waiting(node):
    """The streams that the node has not sent yet."""
    return node.run(["ls", f"{STATE_DIR}/outputs"]).stdout.split()


def test_output_is_whole_whatever_is_lost_on_its_way(station, debrepo, new_node):
    """
    Answers are lost, pieces come twice, the server is killed while the script prints and is away when it ends.

    The bucket has the text once, in order and to the end; the server saw the beginning while the script ran.
    """
    node = new_node("deb12", debrepo)
    station.enrol(node)
    station.interposer.lose_first_answers("PutOutput")
    client = station.client()
    sent = client.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[station.ids[node.name]],
        Parameters={"commands": [*SAYS, *LATER]},
        OutputS3BucketName=BUCKET,
    )["Command"]["CommandId"]
    until(lambda: station.interposer.seen["PutOutput"] >= 2, what="output comes while the script runs")
    assert client.list_command_invocations(CommandId=sent)["CommandInvocations"][0]["Status"] == "InProgress"

    station.stop(signal.SIGKILL)
    node.run(["touch", "/go"])
    until(lambda: waiting(node), what="the end of the output waits on the node")
    station.start()

    place = station.directory / "data" / "buckets" / BUCKET / sent / station.ids[node.name] / PLUGIN / f"0.{PLUGIN}"
    until(lambda: (place / "stdout").exists() and (place / "stderr").exists(), what="the bucket has it")
    expected = "".join(f"line {number}\n" for number in range(1, 60_001))
    assert (place / "stdout").read_text() == expected
    assert (place / "stderr").read_text() == "oops\n"
    assert station.wait(node, sent)["Status"] == "Success"
    until(lambda: not waiting(node), what="nothing waits on the node")
