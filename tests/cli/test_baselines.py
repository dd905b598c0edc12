# SPDX-License-Identifier: Apache-2.0
"""`patchwright baseline`: listed, shown and made, in the words of the API."""

from __future__ import annotations

import json

import pytest

from cli.bench import Result, Server

DEBIAN_DEFAULT = "pb-09a5f8eb62bde80b1"


def create(server: Server, *words: str, name: str = "made") -> Result:
    """`patchwright baseline create` for Debian."""
    return server.run("baseline", "create", "--name", name, "--operating-system", "debian", *words)


def made(server: Server, *words: str) -> dict:
    """The baseline that these words make, as the API shows it."""
    result = create(server, *words)
    assert result.code == 0, result.err
    return server.run("baseline", "show", result.out.strip(), "--json").json


def test_the_predefined_baselines_are_listed(server):
    """Their bare ids, which `show` takes, and which of them is the default."""
    result = server.run("baseline", "list", "--owner", "aws")

    assert 0 == result.code
    assert f"  {DEBIAN_DEFAULT}  DEBIAN                   default  AWS-DebianDefaultPatchBaseline" in result.out
    assert 17 == len(server.run("baseline", "list", "--owner", "AWS", "--json").json["BaselineIdentities"])


def test_a_list_can_be_narrowed(server):
    """By operating system and by owner; nothing found is said."""
    windows = server.run("baseline", "list", "--operating-system", "windows", "--json").json["BaselineIdentities"]
    none = server.run("baseline", "list", "--operating-system", "MACOS", "--owner", "Self")

    assert {"WINDOWS"} == {one["OperatingSystem"] for one in windows}
    assert (0, "No patch baseline matches.\n") == (none.code, none.out)


def test_a_baseline_is_shown_with_its_rules_in_words(server):
    """Rules, lists and groups of a baseline; filters that leave nothing out are not mentioned."""
    result = server.run("baseline", "show", DEBIAN_DEFAULT)

    assert 0 == result.code
    assert f"AWS-DebianDefaultPatchBaseline ({DEBIAN_DEFAULT})" in result.out
    assert "rule 1       approves security updates at once; PRIORITY is Required or Important" in result.out
    assert "PRODUCT" not in result.out


def test_options_make_one_rule(server):
    """Each option stands where the API has it."""
    found = made(
        server,
        *["--approve-after-days", "7", "--priority", "Required", "--priority", "Important", "--section", "libs"],
        *["--compliance-level", "high", "--non-security", "--description", "for tests"],
        *["--approve", "openssl", "--reject", "vim", "--rejected-action", "block"],
    )

    (rule,) = found["ApprovalRules"]["PatchRules"]
    assert {"PRIORITY": ["Required", "Important"], "SECTION": ["libs"]} == {
        item["Key"]: item["Values"] for item in rule["PatchFilterGroup"]["PatchFilters"]
    }
    assert (7, "HIGH", True) == (rule["ApproveAfterDays"], rule["ComplianceLevel"], rule["EnableNonSecurity"])
    assert (["openssl"], ["vim"], "BLOCK") == tuple(
        found[name] for name in ("ApprovedPatches", "RejectedPatches", "RejectedPatchesAction")
    )
    assert ("for tests", "DEBIAN") == (found["Description"], found["OperatingSystem"])


def test_lists_are_shown_in_words(server):
    """What is approved or rejected by name, with its level and action."""
    result = create(server, "--approve", "openssl", "--reject", "vim", "--rejected-action", "BLOCK")

    text = server.run("baseline", "show", result.out.strip()).out

    assert "approved     openssl (UNSPECIFIED)" in text
    assert "rejected     vim (BLOCK)" in text


def test_a_day_is_the_other_kind_of_rule(server):
    """--approve-until instead of --approve-after-days; without filters every product is meant."""
    (rule,) = made(server, "--approve-until", "2026-01-31")["ApprovalRules"]["PatchRules"]

    assert "2026-01-31" == rule["ApproveUntilDate"]
    assert [{"Key": "PRODUCT", "Values": ["*"]}] == rule["PatchFilterGroup"]["PatchFilters"]


def test_the_id_is_printed_alone_or_as_the_apis_answer(server):
    """A script reads the id from standard output."""
    plain = create(server, "--approve", "openssl")
    document = create(server, "--approve", "openssl", "--json")

    assert plain.out.startswith("pb-")
    assert 1 == len(plain.out.split())
    assert document.json["BaselineId"].startswith("pb-")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "nothing would be approved"),
        (["--approve-after-days", "1", "--approve-until", "2026-01-31"], "exactly one of"),
        (["--priority", "Required"], "exactly one of"),
        (["--approve-after-days", "361"], "361"),
    ],
)
def test_a_rule_that_contradicts_itself_is_a_usage_error(server, words, complaint):
    """What the options cannot mean is said before the server is asked."""
    result = create(server, *words)

    assert (2, "") == (result.code, result.out)
    assert complaint in result.err


def test_a_file_says_everything(server, tmp_path):
    """The members of CreatePatchBaseline as JSON, several rules among them; options replace what it says."""
    rules = [
        {"PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": [word]}]}, "ApproveAfterDays": days}
        for word, days in (("Required", 0), ("Optional", 14))
    ]
    path = tmp_path / "baseline.json"
    path.write_text(
        json.dumps({"Name": "from-file", "OperatingSystem": "DEBIAN", "ApprovalRules": {"PatchRules": rules}})
    )

    whole = server.run("baseline", "create", "--from-file", str(path))
    renamed = server.run("baseline", "create", "--from-file", str(path), "--name", "renamed")

    found = server.run("baseline", "show", whole.out.strip(), "--json").json
    assert [0, 14] == [rule["ApproveAfterDays"] for rule in found["ApprovalRules"]["PatchRules"]]
    assert "from-file" == found["Name"]
    assert "renamed" == server.run("baseline", "show", renamed.out.strip(), "--json").json["Name"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no JSON object"),
        ('{"Name": "x"}', "nothing would be approved"),
        ('{"OperatingSystem": "DEBIAN", "ApprovedPatches": ["a"], "ApprovalRules": {}}', "--name is missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_usage_error(server, tmp_path, text, complaint):
    """The file is named, and what is wrong with it."""
    path = tmp_path / "baseline.json"
    path.write_text(text)

    result = server.run("baseline", "create", "--from-file", str(path))

    assert 2 == result.code
    assert complaint in result.err


def test_what_the_server_refuses_is_exit_code_one(server):
    """A name that is too short, an id that is unknown: the server's code and words."""
    short = create(server, "--approve", "openssl", name="x")
    unknown = server.run("baseline", "show", "pb-0123456789abcdef0")

    assert [1, 1] == [short.code, unknown.code]
    assert short.err.startswith("ValidationException: ")
    assert unknown.err.startswith("DoesNotExistException: ")
