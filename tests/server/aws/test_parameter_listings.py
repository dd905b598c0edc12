# SPDX-License-Identifier: Apache-2.0
"""Levels of the hierarchy, filters and pages of Parameter Store, through boto3 (spec §1.16, §1.19)."""

from __future__ import annotations

import pytest

from server.aws.test_parameters import code, names, put


@pytest.fixture
def tree(ssm):
    """Some levels of parameters."""
    put(ssm, "top")
    put(ssm, "/site", "1", Description="also a level")
    put(ssm, "/site/a", "2", Tags=[{"Key": "team", "Value": "web"}])
    put(ssm, "/site/a/b", "3", Type="StringList", Tier="Advanced", Tags=[{"Key": "team", "Value": "db"}])
    put(ssm, "/site/z", "hidden", Type="SecureString")
    put(ssm, "/site-two/a", "4", Type="SecureString", KeyId="alias/mine")
    return ssm


@pytest.mark.parametrize(
    ("path", "recursive", "found"),
    [
        ("/", False, ["/site", "top"]),
        ("/", True, ["/site", "/site-two/a", "/site/a", "/site/a/b", "/site/z", "top"]),
        ("/site", False, ["/site/a", "/site/z"]),
        ("/site/", True, ["/site/a", "/site/a/b", "/site/z"]),
        ("/site/a/b", True, []),
        ("/si", True, []),
        ("/never", False, []),
    ],
)
def test_a_level_is_listed_with_or_without_what_is_below(tree, path, recursive, found):
    """In order of name; the level itself is not in it."""
    assert names(tree.get_parameters_by_path(Path=path, Recursive=recursive)) == found


def test_a_levels_filters(tree):
    """Type, KeyId and Label; a label shows the version that has it."""

    def by_path(*filters, path="/"):
        return tree.get_parameters_by_path(Path=path, Recursive=True, ParameterFilters=list(filters))

    assert names(by_path({"Key": "Type", "Values": ["StringList"]})) == ["/site/a/b"]
    assert names(by_path({"Key": "Type", "Option": "BeginsWith", "Values": ["S"]}, path="/site/a")) == ["/site/a/b"]
    assert names(by_path({"Key": "KeyId", "Values": ["alias/aws/ssm", "alias/mine"]})) == ["/site-two/a", "/site/z"]
    put(tree, "/site/a", "new", Overwrite=True)
    tree.label_parameter_version(Name="/site/a", ParameterVersion=1, Labels=["live"])
    (one,) = by_path({"Key": "Label", "Values": ["live", "never"]})["Parameters"]
    assert (one["Name"], one["Version"], one["Value"]) == ("/site/a", 1, "2")
    both = by_path({"Key": "Label", "Values": ["live"]}, {"Key": "Type", "Values": ["SecureString"]})
    assert both["Parameters"] == []


@pytest.mark.parametrize(
    ("given", "refusal", "text"),
    [
        ([{"Key": "Name", "Values": ["x"]}], "InvalidFilterKey", "Name. Valid filter keys include: [Type, KeyId]."),
        ([{"Key": "tag:x", "Values": ["x"]}], "InvalidFilterKey", "tag:x"),
        ([{"Key": "Type"}], "InvalidFilterValue", "missing : null for filter key Type"),
        ([{"Key": "Label", "Option": "BeginsWith", "Values": ["x"]}], "InvalidFilterOption", "BeginsWith"),
        ([{"Key": "Type", "Values": ["x"]}], "InvalidFilterValue", "[String, StringList, SecureString]"),
        ([{"Key": "Teapot", "Values": ["x"]}], "ValidationException", "regular expression pattern"),
    ],
)
def test_a_levels_filters_that_cannot_be_are_refused(ssm, given, refusal, text):
    """Only three keys are for GetParametersByPath."""
    found, message = code(ssm.get_parameters_by_path, Path="/", ParameterFilters=given)
    assert (found, text in message) == (refusal, True), message


@pytest.mark.parametrize("path", ["site", "//", "/###", "/ssm/x", "/a//b", "/l" * 16, "/a:b"])
def test_paths_that_cannot_be_are_refused(ssm, path):
    """With AWS's text, in both operations that take one."""
    text = "The parameter doesn't meet the parameter name requirements"
    assert text in code(ssm.get_parameters_by_path, Path=path)[1]
    if not path.startswith("/ssm"):
        assert text in code(ssm.describe_parameters, ParameterFilters=[{"Key": "Path", "Values": [path]}])[1]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"Key": "Name", "Values": ["/top", "/site/a", "never"]}, ["/site/a", "top"]),
        ({"Key": "Name", "Option": "BeginsWith", "Values": ["site"]}, "/site /site-two/a /site/a /site/a/b /site/z"),
        ({"Key": "Name", "Option": "BeginsWith", "Values": ["/site/", "to"]}, "/site/a /site/a/b /site/z top"),
        ({"Key": "Name", "Option": "Contains", "Values": ["/a"]}, "/site-two/a /site/a /site/a/b"),
        ({"Key": "Path", "Values": ["/site"]}, ["/site/a", "/site/z"]),
        ({"Key": "Path", "Option": "OneLevel", "Values": ["/", "/site/a"]}, ["/site", "/site/a/b", "top"]),
        ({"Key": "Path", "Option": "Recursive", "Values": ["/site/"]}, ["/site/a", "/site/a/b", "/site/z"]),
        ({"Key": "Type", "Values": ["SecureString"]}, ["/site-two/a", "/site/z"]),
        ({"Key": "Type", "Option": "BeginsWith", "Values": ["StringL"]}, ["/site/a/b"]),
        ({"Key": "KeyId", "Option": "BeginsWith", "Values": ["alias/m"]}, ["/site-two/a"]),
        ({"Key": "Tier", "Values": ["Advanced"]}, ["/site/a/b"]),
        ({"Key": "DataType", "Values": ["aws:ec2:image"]}, []),
        ({"Key": "tag:team"}, ["/site/a", "/site/a/b"]),
        ({"Key": "tag:team", "Values": ["web", "x"]}, ["/site/a"]),
        ({"Key": "tag:never", "Values": ["web"]}, []),
    ],
)
def test_every_filter_of_describe_parameters(tree, given, found):
    """Their values are ORed."""
    expected = found.split() if isinstance(found, str) else found
    assert names(tree.describe_parameters(ParameterFilters=[given])) == expected


def test_filters_are_anded_and_the_older_form_is_known(tree):
    """Filters: Name, Type, KeyId, whole values."""
    both = [{"Key": "Type", "Values": ["String"]}, {"Key": "Path", "Option": "Recursive", "Values": ["/site"]}]
    assert names(tree.describe_parameters(ParameterFilters=both)) == ["/site/a"]
    assert names(tree.describe_parameters(Filters=[{"Key": "Type", "Values": ["StringList"]}])) == ["/site/a/b"]
    assert names(tree.describe_parameters(Filters=[{"Key": "KeyId", "Values": ["alias/mine"]}])) == ["/site-two/a"]
    assert names(tree.describe_parameters(Filters=[{"Key": "Name", "Values": ["top", "/site"]}])) == ["/site", "top"]
    assert tree.describe_parameters(Shared=True)["Parameters"] == []
    assert code(tree.describe_parameters, Filters=[{"Key": "Name", "Values": ["x"]}], ParameterFilters=both)[1] == (
        "You can use either Filters or ParameterFilters in a single request."
    )


@pytest.mark.parametrize(
    ("given", "refusal", "text"),
    [
        ([{"Key": "Label", "Values": ["x"]}], "InvalidFilterKey", "[Path, Name, Type, KeyId, Tier]"),
        ([{"Key": "Name"}], "InvalidFilterValue", "The following filter values are missing : null for filter key Name"),
        (
            [{"Key": "Name", "Values": ["x"]}] * 2,
            "InvalidFilterKey",
            "The following filter is duplicated in the request: Name.",
        ),
        ([{"Key": "Name", "Option": "option", "Values": ["x"]}], "InvalidFilterOption", "[BeginsWith, Equals]."),
        ([{"Key": "Path", "Option": "Equals", "Values": ["/x"]}], "InvalidFilterOption", "[Recursive, OneLevel]"),
        ([{"Key": "Path", "Values": ["/aws", "/x"]}], "ValidationException", "Filters for common parameters"),
        ([{"Key": "Tier", "Values": ["x"]}], "InvalidFilterValue", "[Standard, Advanced, Intelligent-Tiering]"),
        ([{"Key": "Type", "Option": "Contains", "Values": ["S"]}], "InvalidFilterOption", "Contains"),
    ],
)
def test_filters_that_cannot_be_are_refused(ssm, given, refusal, text):
    """Each with the error that is documented for it."""
    found, message = code(ssm.describe_parameters, ParameterFilters=given)
    assert (found, text in message) == (refusal, True), message


def test_pages_hold_everything_once(ssm):
    """Through every paginator; a token is good for its own request only."""
    expected = sorted(f"/p/{number}" for number in range(23))
    for name in expected:
        put(ssm, name)

    def paged(operation, size, **members):
        pages = ssm.get_paginator(operation).paginate(**members, PaginationConfig={"PageSize": size})
        return [one["Name"] for page in pages for one in page["Parameters"]]

    assert paged("describe_parameters", 7) == expected
    assert paged("get_parameters_by_path", 10, Path="/p") == expected
    assert paged("describe_parameters", 1, ParameterFilters=[{"Key": "Name", "Values": expected[:3]}]) == expected[:3]
    assert len(ssm.get_parameters_by_path(Path="/p")["Parameters"]) == 10
    token = ssm.describe_parameters(MaxResults=7)["NextToken"]
    assert code(ssm.describe_parameters, NextToken=token, Shared=True)[0] == "InvalidNextToken"
    assert code(ssm.get_parameters_by_path, Path="/p", NextToken="x")[0] == "InvalidNextToken"
    assert code(ssm.get_parameter_history, Name="/p/1", NextToken=token)[0] == "InvalidNextToken"
    for call, members in (
        (ssm.describe_parameters, {"MaxResults": 51}),
        (ssm.get_parameters, {"Names": expected[:11]}),
    ):
        assert code(call, **members)[0] == "ValidationException"
