# SPDX-License-Identifier: Apache-2.0
"""`patchwright report`: CSV on standard output, or in a file that is whole or not there."""

from __future__ import annotations

import csv
import os
import threading

HEAD = "Index,Instance ID,Instance name,"


def rows_of(text):
    """A report, read back."""
    return list(csv.reader(text.splitlines()))


def test_every_node_is_in_the_report(server, silent_node):
    """With the name under which it enrolled; one that never reported says so."""
    result = server.run("report", "patches")

    assert (result.code, result.out.startswith(HEAD)) == (0, True)
    (row,) = [row for row in rows_of(result.out) if row[1] == silent_node.id]
    assert row[9] == "NEVER_REPORTED"


def test_one_node_by_its_name_with_its_patches(server, node):
    """A row for each patch that its last operation reported."""
    assert server.run("patch", node.id, "--operation", "Scan").code == 0

    known = {one["InstanceId"]: one["Name"] for one in server.run("node", "list", "--json").json["Nodes"]}

    by_name, by_id = (server.run("report", "patches", "--instance-id", one) for one in (known[node.id], node.id))

    assert by_name.out == by_id.out
    rows = rows_of(by_id.out)
    assert rows[1][1] == node.id
    assert "Missing" in [row[5] for row in rows[3:]]


def test_a_file_is_replaced_whole_or_not_at_all(server, silent_node, tmp_path):
    """What was there stays where the server refuses, and nothing lies beside it."""
    path = tmp_path / "report.csv"
    path.write_text("before")

    refused = server.run("report", "patches", "--instance-id", "mi-00000000000000000", "--output", str(path))
    assert (refused.code, path.read_text()) == (1, "before")
    assert "InvalidInstanceId" in refused.err
    assert server.run("report", "patches", "--output", str(path)).code == 0

    assert path.read_bytes().startswith(HEAD.encode())
    assert b"\r\n" in path.read_bytes()
    assert [one.name for one in tmp_path.glob(".report*")] == []


def test_a_report_is_written_to_a_bucket_by_the_server(server, silent_node):
    """Where it is, is printed; words that contradict each other are refused."""
    result = server.run("report", "patches", "--bucket", "audit", "--prefix", "daily")

    assert result.code == 0, result.err
    assert result.out.startswith("audit/daily/patch-report/accountid=000000000001/region=us-east-1/")
    assert result.out.endswith(" bytes\n")
    assert server.run("report", "patches", "--bucket", "..").code == 1
    for words in (["--bucket", "x", "--output", "y"], ["--prefix", "x"]):
        assert server.run("report", "patches", *words).code == 2


def test_a_pipe_is_written_to_and_stays_a_pipe(server, silent_node, tmp_path):
    """Nothing takes the place of what is no file."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()

    assert server.run("report", "patches", "--output", str(path)).code == 0

    reader.join(timeout=30)
    assert found[0].startswith(HEAD)
    assert path.is_fifo()
