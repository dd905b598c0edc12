# SPDX-License-Identifier: Apache-2.0
"""`patchwright window forecast`: whether what a window does fits into it."""

from __future__ import annotations

import itertools

import pytest

from patchwright.cli import forecast

_numbers = itertools.count()


@pytest.fixture
def name():
    """A name that no other window has."""
    return f"forecast-{next(_numbers)}"


def label(server, node, name):
    """Give a node the tag that the window *name* looks for."""
    tags = [{"Key": "forecast", "Value": name}]
    server.client().add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node.id, Tags=tags)


def create(server, name, *words):
    """Make a window that scans the nodes with the tag."""
    given = ["--schedule", "cron(0 2 ? * SUN *)", "--tag", f"forecast={name}", "--operation", "scan"]
    result = server.run("window", "create", name, *given, *words)
    assert result.code == 0, result.err


def test_three_scans_tell_how_long_the_next_takes(server, node, name):
    """From real scans of a real agent; the exit code says that everything fits."""
    label(server, node, name)
    create(server, name)
    for _ in range(3):
        result = server.run("patch", node.id, "--operation", "Scan")
        assert result.code == 0, result.err + result.out

    shown = server.run("window", "forecast", name)
    assert shown.code == 0
    assert "nodes        1 fit, 0 do not, of 0 nobody knows" in shown.out
    (row,) = [line for line in shown.out.splitlines() if node.id in line]
    assert row.split()[1] == "fits"
    assert row.endswith("own")
    whole = server.run("window", "forecast", name, "--json").json
    assert [one["InstanceId"] for one in whole["Nodes"]] == [node.id]
    assert whole["Tasks"][0]["EndsP95"] >= whole["Tasks"][0]["EndsP50"] >= whole["Opens"]
    assert server.run("window", "forecast", name, "--verdict", "does-not-fit", "--json").json["Nodes"] == []


def test_a_node_without_a_past_is_unknown(server, silent_node, name):
    """It says so, and is no failure; what must fit is shown with the window."""
    label(server, silent_node, name)
    create(server, name, "--must-fit")

    shown = server.run("window", "forecast", name, "--verdict", "unknown")
    assert (shown.code, "of 1 nobody knows" in shown.out) == (0, True)
    assert "late         what would not end before it closes is not begun" in shown.out
    assert "how long it takes is not known" in shown.out
    assert "what would not end before it closes is not begun" in server.run("window", "show", name).out
    tags = server.run("window", "show", name, "--json").json["TagList"]
    assert tags == [{"Key": "patchwright:must-fit", "Value": "true"}]


class Client:
    """Answers with a forecast of many nodes that do not fit, and notes what it was asked."""

    def __init__(self, number):
        self.number = number
        self.asked = []

    def call(self, _operation, members):
        """The summary."""
        self.asked.append(members)
        task = {"Priority": 1, "TaskArn": "AWS-RunPatchBaseline", "Certain": True}
        times = {"Opens": 0.0, "Cutoff": 7200.0, "Closes": 10800.0}
        return {**times, "MustFit": False, "Fits": 0, "DoesNotFit": self.number, "Unknown": 0, "Tasks": [task]}

    def pages(self, _operation, members, _name):
        """The nodes of one verdict."""
        self.asked.append(members)
        if members["Verdict"] == "DOES_NOT_FIT":
            for number in range(self.number):
                yield {"InstanceId": f"mi-{number}", "Verdict": "DOES_NOT_FIT", "Basis": "OWN", "SecondsP95": 9000.0}


@pytest.mark.parametrize(("words", "listed"), [([], 20), (["--all"], 23)])
def test_what_does_not_fit_comes_first_and_is_the_exit_code(monkeypatch, capsys, words, listed):
    """The first twenty, unless all are wanted; what a task does not reach is said."""
    client = Client(23)
    monkeypatch.setattr(forecast, "find_window", lambda _client, window: window)
    given = {"window": "mw-1", "verdict": None, "everything": bool(words), "as_json": False}

    assert forecast.report(client, **given) == 1
    printed = capsys.readouterr().out
    assert printed.count("does not fit") == listed
    assert ("… and 3 more" in printed) == (not words)
    assert "task 1       AWS-RunPatchBaseline: is not reached before the cutoff" in printed
    assert "unknown  2.5 h  is not begun" in printed
    assert client.asked[1] == {"WindowId": "mw-1", "At": 0.0, "Verdict": "DOES_NOT_FIT", "MaxResults": 1000}
