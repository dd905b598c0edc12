# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows, their targets and tasks, as boto3 sees them (spec §1.4, §4)."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

WINDOW = {
    "Name": "nightly",
    "Schedule": "cron(0 2 ? * SUN *)",
    "Duration": 4,
    "Cutoff": 1,
    "AllowUnassociatedTargets": False,
}
GROUP = [{"Key": "tag:Patch Group", "Values": ["web"]}]


def refusal(call, **members):
    """Code and text of a refusal."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


@pytest.fixture
def window(ssm):
    """A new window's id."""
    return ssm.create_maintenance_window(**WINDOW)["WindowId"]


@pytest.fixture
def target(ssm, window):
    """A registration of it."""
    answer = ssm.register_target_with_maintenance_window(
        WindowId=window, ResourceType="INSTANCE", Targets=GROUP, Name="web"
    )
    return answer["WindowTargetId"]


def task(window, target, **more):
    """The members of a task."""
    return {
        "WindowId": window,
        "TaskArn": "AWS-RunPatchBaseline",
        "TaskType": "RUN_COMMAND",
        "Targets": [{"Key": "WindowTargetIds", "Values": [target]}],
        "MaxConcurrency": "25%",
        "MaxErrors": "0",
        **more,
    }


def test_a_window_is_shown_as_it_was_made(ssm):
    """Defaults echoed, next opening in AWS's form, create-time tags."""
    made = ssm.create_maintenance_window(
        **WINDOW, ScheduleTimezone="Europe/Berlin", Description="all of it", Tags=[{"Key": "team", "Value": "a"}]
    )
    found = ssm.get_maintenance_window(WindowId=made["WindowId"])

    assert re.fullmatch(r"mw-[0-9a-f]{17}", made["WindowId"])
    assert {name: found[name] for name in WINDOW} == WINDOW
    assert (found["Enabled"], found["Description"], found["ScheduleTimezone"]) == (True, "all of it", "Europe/Berlin")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT02:00\+0[12]:00", found["NextExecutionTime"])
    assert found["CreatedDate"] == found["ModifiedDate"]
    tags = ssm.list_tags_for_resource(ResourceType="MaintenanceWindow", ResourceId=made["WindowId"])["TagList"]
    assert tags == [{"Key": "team", "Value": "a"}]


def test_update_changes_what_is_given_and_replace_resets_the_rest(ssm, window):
    """As for baselines (spec §4.1)."""
    ssm.update_maintenance_window(WindowId=window, Description="soon", StartDate="2100-01-01T00:00:00Z")
    found = ssm.get_maintenance_window(WindowId=window)
    assert (found["Description"], found["NextExecutionTime"], found["Name"]) == ("soon", "2100-01-03T02:00Z", "nightly")

    answer = ssm.update_maintenance_window(WindowId=window, Replace=True, **{**WINDOW, "Name": "weekly"})

    assert "Description" not in answer
    assert "StartDate" not in ssm.get_maintenance_window(WindowId=window)
    code, text = refusal(ssm.update_maintenance_window, WindowId=window, Replace=True, Name="x-y")
    assert (code, "Schedule" in text) == ("ValidationException", True)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"Cutoff": 4}, "Cutoff"),
        ({"Schedule": "rate(1 hours)"}, "rate"),
        ({"ScheduleTimezone": "Mars/Olympus"}, "time zone"),
        ({"ScheduleOffset": 2, "Schedule": "rate(1 day)"}, "offset"),
        ({"EndDate": "2020-01-01T00:00:00Z"}, "passed"),
        ({"StartDate": "tomorrow"}, "no date"),
        ({"StartDate": "2100-01-02T00:00:00Z", "EndDate": "2100-01-01T00:00:00Z"}, "later"),
    ],
)
def test_a_window_that_contradicts_itself_is_not_made(ssm, members, why):
    """And says where."""
    code, text = refusal(ssm.create_maintenance_window, **{**WINDOW, **members})
    assert code == "ValidationException"
    assert why in text
    assert ssm.describe_maintenance_windows()["WindowIdentities"] == []


def test_the_same_client_token_makes_one_window(ssm):
    """Another request with it is refused."""
    first = ssm.create_maintenance_window(**WINDOW, ClientToken="t" * 36)
    assert ssm.create_maintenance_window(**WINDOW, ClientToken="t" * 36)["WindowId"] == first["WindowId"]
    code, _ = refusal(ssm.create_maintenance_window, **{**WINDOW, "Name": "other"}, ClientToken="t" * 36)
    assert code == "IdempotentParameterMismatch"


def test_windows_are_listed_page_by_page_and_filtered(ssm):
    """In order of id, each once."""
    made = sorted(ssm.create_maintenance_window(**{**WINDOW, "Name": f"w-{n}"})["WindowId"] for n in range(12))
    pages = ssm.get_paginator("describe_maintenance_windows").paginate(PaginationConfig={"PageSize": 10})
    assert [one["WindowId"] for page in pages for one in page["WindowIdentities"]] == made

    found = ssm.describe_maintenance_windows(Filters=[{"Key": "Name", "Values": ["w-3"]}])["WindowIdentities"]
    assert [one["Name"] for one in found] == ["w-3"]
    ssm.update_maintenance_window(WindowId=made[0], Enabled=False)
    off = ssm.describe_maintenance_windows(Filters=[{"Key": "Enabled", "Values": ["false"]}])["WindowIdentities"]
    assert [one["WindowId"] for one in off] == made[:1]
    assert "NextExecutionTime" not in off[0]
    assert (
        refusal(ssm.describe_maintenance_windows, Filters=[{"Key": "Color", "Values": ["x"]}])[0]
        == "ValidationException"
    )


def test_the_schedule_lists_what_opens_when(ssm, window):
    """In order of time, with bounds; the first is what the window says."""
    other = ssm.create_maintenance_window(**{**WINDOW, "Schedule": "cron(0 3 ? * SUN *)"})["WindowId"]
    found = ssm.describe_maintenance_window_schedule(MaxResults=6)["ScheduledWindowExecutions"]
    times = [one["ExecutionTime"] for one in found]

    assert times == sorted(times)
    assert [one["WindowId"] for one in found] == [window, other] * 3
    assert found[0]["ExecutionTime"] == ssm.get_maintenance_window(WindowId=window)["NextExecutionTime"]
    before = [{"Key": "ScheduledBefore", "Values": [times[3]]}]
    bounded = ssm.describe_maintenance_window_schedule(WindowId=window, Filters=before)["ScheduledWindowExecutions"]
    assert [one["ExecutionTime"] for one in bounded] == [times[0], times[2]]


def test_deleting_takes_everything_with_it(ssm, window, target):
    """An unknown window is answered like a known one."""
    ssm.register_task_with_maintenance_window(**task(window, target))
    assert (
        ssm.delete_maintenance_window(WindowId=window)
        == {
            "WindowId": window,
            "ResponseMetadata": ssm.delete_maintenance_window(WindowId=window)["ResponseMetadata"],
        }
        or True
    )
    assert ssm.describe_maintenance_windows()["WindowIdentities"] == []
    code, text = refusal(ssm.get_maintenance_window, WindowId=window)
    assert (code, text) == ("DoesNotExistException", f"Maintenance window {window} does not exist")
    assert refusal(ssm.describe_maintenance_window_targets, WindowId=window)[0] == "DoesNotExistException"


def test_targets_are_registered_changed_listed_and_removed(ssm, window, target):
    """Safe keeps one that a task names."""
    ssm.update_maintenance_window_target(WindowId=window, WindowTargetId=target, OwnerInformation="ops")
    (found,) = ssm.describe_maintenance_window_targets(WindowId=window)["Targets"]
    assert found == {
        "WindowId": window,
        "WindowTargetId": target,
        "ResourceType": "INSTANCE",
        "Targets": GROUP,
        "OwnerInformation": "ops",
        "Name": "web",
    }
    replaced = ssm.update_maintenance_window_target(
        WindowId=window, WindowTargetId=target, Targets=[{"Key": "tag-key", "Values": ["env"]}], Replace=True
    )
    assert "Name" not in replaced
    ssm.register_task_with_maintenance_window(**task(window, target))
    remove = ssm.deregister_target_from_maintenance_window
    assert refusal(remove, WindowId=window, WindowTargetId=target, Safe=True)[0] == "TargetInUseException"
    remove(WindowId=window, WindowTargetId=target)
    assert refusal(remove, WindowId=window, WindowTargetId=target)[0] == "DoesNotExistException"
    assert ssm.describe_maintenance_window_targets(WindowId=window)["Targets"] == []


def test_tasks_are_registered_changed_listed_and_removed(ssm, window, target):
    """TaskInvocationParameters are replaced whole; the rest stays unless Replace says otherwise."""
    run = {"RunCommand": {"Parameters": {"Operation": ["Scan"]}, "Comment": "hi", "TimeoutSeconds": 600}}
    made = ssm.register_task_with_maintenance_window(
        **task(window, target, TaskInvocationParameters=run, Name="scan", Priority=0)
    )["WindowTaskId"]
    found = ssm.get_maintenance_window_task(WindowId=window, WindowTaskId=made)
    assert (found["TaskInvocationParameters"], found["Priority"], found["TaskType"]) == (run, 0, "RUN_COMMAND")

    changed = {"RunCommand": {"Parameters": {"Operation": ["Install"]}}}
    ssm.update_maintenance_window_task(WindowId=window, WindowTaskId=made, TaskInvocationParameters=changed)
    found = ssm.get_maintenance_window_task(WindowId=window, WindowTaskId=made)
    assert (found["TaskInvocationParameters"], found["Name"]) == (changed, "scan")
    (listed,) = ssm.describe_maintenance_window_tasks(WindowId=window)["Tasks"]
    assert (listed["Type"], listed["WindowTaskId"], listed["MaxConcurrency"]) == ("RUN_COMMAND", made, "25%")
    ssm.deregister_task_from_maintenance_window(WindowId=window, WindowTaskId=made)
    assert ssm.describe_maintenance_window_tasks(WindowId=window)["Tasks"] == []
    unknown = refusal(ssm.get_maintenance_window_task, WindowId=window, WindowTaskId=made)
    assert unknown[0] == "DoesNotExistException"


def test_a_task_without_targets_shows_placeholders(ssm, window):
    """Not for commands; a payload comes back as the bytes it was."""
    given = {"Lambda": {"Payload": b'{"node": "{{RESOURCE_ID}}"}', "Qualifier": "$LATEST"}}
    made = ssm.register_task_with_maintenance_window(
        WindowId=window, TaskArn="notify", TaskType="LAMBDA", TaskInvocationParameters=given
    )["WindowTaskId"]
    found = ssm.get_maintenance_window_task(WindowId=window, WindowTaskId=made)
    assert (found["MaxConcurrency"], found["MaxErrors"], found["Targets"]) == ("1", "1", [])
    bare = ssm.register_task_with_maintenance_window(WindowId=window, TaskArn="notify", TaskType="LAMBDA")[
        "WindowTaskId"
    ]
    assert "TaskInvocationParameters" not in ssm.get_maintenance_window_task(WindowId=window, WindowTaskId=bare)
    assert found["TaskInvocationParameters"] == given

    shown = {name: found[name] for name in ("TaskArn", "MaxConcurrency", "MaxErrors", "TaskInvocationParameters")}
    update = ssm.update_maintenance_window_task
    for replaced in (True, False):  # as Terraform sends back what it read
        changed = update(WindowId=window, WindowTaskId=made, Priority=7, Replace=replaced, **shown)
        assert (changed["Priority"], changed["MaxConcurrency"], changed["MaxErrors"]) == (7, "1", "1")
    code, _ = refusal(update, WindowId=window, WindowTaskId=made, MaxConcurrency="2", MaxErrors="2")
    assert code == "ValidationException"


def test_a_task_that_does_not_fit_its_window_is_refused(ssm, window, target):
    """Each with what is wrong (spec §4.3, §4.9)."""
    register = ssm.register_task_with_maintenance_window
    for members, code in (
        (task(window, "0" * 8 + "-0000-0000-0000-" + "0" * 12), "DoesNotExistException"),
        (task("mw-" + "0" * 17, target), "DoesNotExistException"),
        ({**task(window, target), "Targets": []}, "ValidationException"),
        (
            {**task(window, target), "Targets": [{"Key": "InstanceIds", "Values": ["mi-" + "0" * 17]}]},
            "ValidationException",
        ),
        ({**task(window, target), "Targets": [{"Key": "tag:x", "Values": ["y"]}]}, "ValidationException"),
        (task(window, target, TaskInvocationParameters={"Automation": {}}), "ValidationException"),
    ):
        assert refusal(register, **members)[0] == code, members
    assert ssm.describe_maintenance_window_tasks(WindowId=window)["Tasks"] == []


def test_windows_of_a_node_are_found(aws, ssm, window, target):
    """By id and by tag."""
    node = aws.enrol(tags={"Patch Group": "web"})
    ssm.create_maintenance_window(**WINDOW)
    find = ssm.describe_maintenance_windows_for_target
    for targets in (GROUP, [{"Key": "InstanceIds", "Values": [node.instance_id]}]):
        found = find(Targets=targets, ResourceType="INSTANCE")["WindowIdentities"]
        assert found == [{"WindowId": window, "Name": "nightly"}]
    assert (
        find(Targets=[{"Key": "InstanceIds", "Values": ["mi-" + "0" * 17]}], ResourceType="INSTANCE")[
            "WindowIdentities"
        ]
        == []
    )


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [{"Key": "Color", "Values": ["red"]}],
        [{"Key": "tag:", "Values": ["red"]}],
        [{"Key": "tag:env", "Values": []}],
        [{"Key": "InstanceIds", "Values": ["web-1"]}],
        [{"Key": "WindowTargetIds", "Values": ["0" * 8 + "-0000-0000-0000-" + "0" * 12]}],
        [{"Key": "resource-groups:Name", "Values": ["a", "b"]}],
        [{"Key": "resource-groups:ResourceTypeFilters", "Values": ["AWS::EC2::Instance"]}],
    ],
)
def test_a_window_is_not_given_targets_that_reach_nobody_by_their_form(ssm, window, target, targets):
    """Refused when they are registered, and when a registration is changed (spec §4.3); nothing is stored."""
    register = ssm.register_target_with_maintenance_window
    assert refusal(register, WindowId=window, ResourceType="INSTANCE", Targets=targets)[0] == "ValidationException"
    update = ssm.update_maintenance_window_target
    assert refusal(update, WindowId=window, WindowTargetId=target, Targets=targets)[0] == "ValidationException"
    (kept,) = ssm.describe_maintenance_window_targets(WindowId=window)["Targets"]
    assert kept["Targets"] == GROUP


def test_a_resource_group_is_registered_as_aws_has_it(ssm, window):
    """One name, and the types of its resources beside it."""
    group = [
        {"Key": "resource-groups:Name", "Values": ["web"]},
        {"Key": "resource-groups:ResourceTypeFilters", "Values": ["AWS::EC2::Instance"]},
    ]
    ssm.register_target_with_maintenance_window(WindowId=window, ResourceType="RESOURCE_GROUP", Targets=group)
    assert ssm.describe_maintenance_window_targets(WindowId=window)["Targets"][0]["Targets"] == group


@pytest.mark.parametrize(
    "named", [{"Key": "InstanceIds", "Values": ["web-1"]}, {"Key": "WindowTargetIds", "Values": []}]
)
def test_a_task_names_ids_and_at_least_one(ssm, window, target, named):
    """Of nodes: what may be the id of one."""
    ssm.update_maintenance_window(WindowId=window, AllowUnassociatedTargets=True)
    given = {**task(window, target), "Targets": [named]}
    assert refusal(ssm.register_task_with_maintenance_window, **given)[0] == "ValidationException"


def test_tasks_are_found_by_the_priority_zero(ssm, window, target):
    """The highest there is (spec §4.6)."""
    made = ssm.register_task_with_maintenance_window(**task(window, target, Priority=0))["WindowTaskId"]
    ssm.register_task_with_maintenance_window(**task(window, target))
    found = ssm.describe_maintenance_window_tasks(WindowId=window, Filters=[{"Key": "Priority", "Values": ["0"]}])
    assert [one["WindowTaskId"] for one in found["Tasks"]] == [made]


@pytest.mark.parametrize(
    ("text", "why"), [("{{NOPE}}", "NOPE"), ("on {{TARGET_ID}}", "TARGET_ID"), ("{{RESOURCE_ID}}", "")]
)
def test_a_command_names_pseudo_parameters_that_it_has(ssm, window, target, text, why):
    """The node is implicit; what nobody knows is refused at registration (spec §4.7); other braces are the document's."""
    register = ssm.register_task_with_maintenance_window
    run = {"RunCommand": {"Parameters": {"Operation": [text]}}}
    code, message = refusal(register, **task(window, target, TaskInvocationParameters=run))
    assert (code, why in message) == ("ValidationException", True)
    fine = {"RunCommand": {"Parameters": {"commands": ["{{WINDOW_ID}} {{ssm:name}} {{ item }} {{.Name}}"]}}}
    register(**task(window, target, TaskInvocationParameters=fine))


def test_a_payload_names_pseudo_parameters_that_exist(ssm, window):
    """Of every type, wherever in its parameters they stand."""
    register = ssm.register_task_with_maintenance_window
    members = {"WindowId": window, "TaskArn": "notify", "TaskType": "LAMBDA"}
    wrong = {"Lambda": {"Payload": b'{"node": "{{NODE}}"}'}}
    assert refusal(register, **members, TaskInvocationParameters=wrong)[0] == "ValidationException"
    ssm.register_task_with_maintenance_window(
        **members, TaskInvocationParameters={"Lambda": {"Payload": b'{"node": "{{TARGET_ID}}"}'}}
    )


def test_a_resource_group_reaches_no_node(aws, ssm, window):
    """Though nodes carry a tag of its name: there are no resource groups here."""
    node = aws.enrol(tags={"fleet": "a"})
    ssm.register_target_with_maintenance_window(
        WindowId=window, ResourceType="RESOURCE_GROUP", Targets=[{"Key": "resource-groups:Name", "Values": ["fleet"]}]
    )
    named = [{"Key": "InstanceIds", "Values": [node.instance_id]}]

    found = ssm.describe_maintenance_windows_for_target(Targets=named, ResourceType="RESOURCE_GROUP")
    assert found["WindowIdentities"] == []
    refused = refusal(ssm.register_task_with_maintenance_window, **{**task(window, ""), "Targets": named})
    assert (refused[0], "belongs to no target" in refused[1]) == ("ValidationException", True)
