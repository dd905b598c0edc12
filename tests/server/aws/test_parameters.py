# SPDX-License-Identifier: Apache-2.0
"""Parameter Store through boto3 (spec §1.16, §1.19)."""

from __future__ import annotations

import base64
import json
import threading

import pytest
from botocore.exceptions import ClientError

SECRET = "correct horse battery staple"


def put(ssm, name, value="v", **members):
    """PutParameter of a String, unless told otherwise."""
    return ssm.put_parameter(Name=name, Value=value, **{"Type": "String", **members})


def code(call, **members):
    """The error code of a call that is to be refused, and its text."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def names(answer):
    """The names in a listing, in its order."""
    return [one["Name"] for one in answer["Parameters"]]


def test_a_parameter_is_put_and_got_with_every_member(aws, ssm):
    """The CLI's documented example, member by member; nothing that is not set appears."""
    assert put(ssm, "MyStringParameter", "Veni")["Version"] == 1

    answer = ssm.get_parameter(Name="MyStringParameter")["Parameter"]

    moment = answer.pop("LastModifiedDate")
    assert answer == {
        "Name": "MyStringParameter",
        "Type": "String",
        "Value": "Veni",
        "Version": 1,
        "ARN": f"arn:aws:ssm:{aws.region}:{aws.house.account}:parameter/MyStringParameter",
        "DataType": "text",
    }
    (listed,) = ssm.describe_parameters()["Parameters"]
    assert listed == {
        "Name": "MyStringParameter",
        "ARN": answer["ARN"],
        "Type": "String",
        "LastModifiedDate": moment,
        "LastModifiedUser": aws.house.root.principal,
        "Version": 1,
        "Tier": "Standard",
        "Policies": [],
        "DataType": "text",
    }


def test_an_existing_parameter_is_overwritten_only_on_demand(ssm):
    """And what the second request does not say stays as it was."""
    put(ssm, "/web/port", "80", Description="where", AllowedPattern=r"\d+", Tier="Advanced")

    assert code(put, ssm=ssm, name="/web/port") == (
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
    )
    answer = ssm.put_parameter(Name="/web/port", Value="81", Overwrite=True)

    assert (answer["Version"], answer["Tier"]) == (2, "Advanced")
    (listed,) = ssm.describe_parameters()["Parameters"]
    assert (listed["Description"], listed["AllowedPattern"], listed["Type"]) == ("where", r"\d+", "String")
    ssm.put_parameter(Name="/web/port", Value="any", Overwrite=True, Description="", AllowedPattern="")
    (listed,) = ssm.describe_parameters()["Parameters"]
    assert "Description" not in listed
    assert "AllowedPattern" not in listed


@pytest.mark.parametrize(
    ("name", "refusal", "text"),
    [
        ("ssm_test", "ValidationException", 'can\'t be prefixed with "aws" or "ssm" (case-insensitive).'),
        ("AwsTest", "ValidationException", 'can\'t be prefixed with "aws" or "ssm" (case-insensitive).'),
        ("/SSM/x", "ValidationException", "each sub-path can be formed as a mix of letters"),
        ("/aws/x", "AccessDeniedException", "No access to reserved parameter name: /aws/x."),
        ("web/port", "ValidationException", "Parameter name must be a fully qualified name."),
        ("a b", "ValidationException", "symbols .-_"),
        ("web:1", "ValidationException", "symbols .-_"),
        ("/web/", "ValidationException", "symbols .-_"),
        ("//web", "ValidationException", "symbols .-_"),
        ("é", "ValidationException", "symbols .-_"),
        ("/l" * 16, "HierarchyLevelLimitExceededException", "15 levels"),
        ("/" + "l" * 1011, "ValidationException", "1011 characters"),
        ("arn:aws:ssm:us-east-1:000000000001:parameter/x", "ValidationException", "symbols .-_"),
    ],
)
def test_names_that_cannot_be_are_refused(ssm, name, refusal, text):
    """With AWS's texts where they are known; nothing is stored."""
    found, message = code(put, ssm=ssm, name=name)

    assert (found, text in message) == (refusal, True), message
    assert ssm.describe_parameters()["Parameters"] == []


@pytest.mark.parametrize("name", ["/l" * 15, " /spaced/ok ", "A.b_c-9", "/web/aws/ssm"])
def test_names_that_can_be_are_taken(ssm, name):
    """Fifteen levels, spaces around it, every symbol, reserved words further down."""
    put(ssm, name)

    assert ssm.get_parameter(Name=name)["Parameter"]["Name"] == name.strip()
    ssm.delete_parameter(Name=name)
    assert ssm.describe_parameters()["Parameters"] == []


def test_a_name_of_one_level_is_the_same_with_and_without_its_slash(ssm):
    """Both have one ARN, so there is one parameter; it shows the name it was created with."""
    put(ssm, "/with")
    put(ssm, "without")

    for asked, name in (("with", "/with"), ("/without", "without")):
        assert ssm.get_parameter(Name=asked)["Parameter"]["Name"] == name
        assert ssm.get_parameters(Names=[asked])["Parameters"][0]["Name"] == name
        assert code(put, ssm=ssm, name=asked)[0] == "ParameterAlreadyExists"
        ssm.delete_parameter(Name=asked)
        assert ssm.get_parameters(Names=[name])["InvalidParameters"] == [name]


@pytest.mark.parametrize(
    ("members", "refusal", "text"),
    [
        ({"Type": None}, "ValidationException", "A parameter type is required when you create a parameter."),
        ({"Value": ""}, "ValidationException", "Member must have length greater than or equal to 1."),
        ({"Value": "x" * 4097}, "ValidationException", "maximum parameter value of 4096 characters"),
        ({"Value": "x" * 8193, "Tier": "Advanced"}, "ValidationException", "8192 characters"),
        ({"Value": "{{ssm:other}}"}, "ValidationException", "can't nest another parameter"),
        ({"DataType": "Text"}, "ValidationException", "The following data type is not supported: Text"),
        ({"DataType": "aws:ec2:image"}, "ValidationException", "the data type aws:ec2:image requires"),
        (
            {"DataType": "aws:ec2:image", "Value": "ami-12345678", "Type": "SecureString"},
            "UnsupportedParameterType",
            "not for parameters of type SecureString",
        ),
        ({"Type": "SecureString", "KeyId": "no-key"}, "InvalidKeyId", "key"),
        ({"AllowedPattern": "("}, "InvalidAllowedPatternException", "no regular expression"),
        ({"AllowedPattern": "[0-9]+"}, "ParameterPatternMismatchException", "using allowedPattern: [0-9]+"),
        ({"Type": "Teapot"}, "ValidationException", "Member must satisfy enum value set"),
        (
            {"Overwrite": True, "Tags": [{"Key": "a", "Value": "1"}]},
            "ValidationException",
            "tags and overwrite can't be",
        ),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationException", "aws:"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "ValidationException", "twice"),
        ({"Policies": "no json"}, "ValidationException", "JSON array"),
        ({"Policies": "[1]"}, "ValidationException", "JSON array"),
        ({"Policies": '[{"Type":"Teapot"}]'}, "InvalidPolicyTypeException", "isn't supported"),
        ({"Policies": '[{"Type":["x"]}]'}, "InvalidPolicyTypeException", "isn't supported"),
        ({"Policies": '[{"Type":"Expiration"}]'}, "InvalidPolicyAttributeException", "Attributes"),
    ],
)
def test_what_cannot_be_put_is_refused(ssm, members, refusal, text):
    """Every documented error of PutParameter; nothing is stored, and no text repeats a value."""
    given = {"Name": "/x", "Value": "value-of-it", "Type": "String", **members}
    found, message = code(ssm.put_parameter, **{key: value for key, value in given.items() if value is not None})

    assert (found, text in message) == (refusal, True), message
    assert "value-of-it" not in message
    assert ssm.describe_parameters()["Parameters"] == []


def test_a_type_cannot_be_changed_but_a_secret_can_become_plain(ssm):
    """HierarchyTypeMismatchException as documented; Terraform's own tests on AWS turn a SecureString into a String."""
    put(ssm, "/plain")
    assert code(put, ssm=ssm, name="/plain", Type="SecureString", Overwrite=True)[0] == "HierarchyTypeMismatchException"
    assert code(put, ssm=ssm, name="/plain", Type="StringList", Overwrite=True)[0] == "HierarchyTypeMismatchException"
    assert code(put, ssm=ssm, name="/plain", value="ami-12345678", DataType="aws:ec2:image", Overwrite=True) == (
        "ValidationException",
        "The data type of a parameter cannot be changed from text to aws:ec2:image.",
    )

    put(ssm, "/secret", SECRET, Type="SecureString")
    put(ssm, "/secret", "public", Overwrite=True)
    assert ssm.get_parameter(Name="/secret")["Parameter"]["Value"] == "public"
    shown = ssm.get_parameter_history(Name="/secret", WithDecryption=True)["Parameters"]
    assert [(one["Type"], one["Value"], one.get("KeyId")) for one in shown] == [
        ("SecureString", SECRET, "alias/aws/ssm"),
        ("String", "public", None),
    ]


def test_tiers_are_chosen_and_never_go_down(ssm):
    """Intelligent-Tiering is advanced where the value or a policy needs it; an advanced parameter stays one."""
    long = "x" * 4097
    for name, value, tier, made in [
        ("/standard", "x" * 4096, "Standard", "Standard"),
        ("/advanced", "x" * 8192, "Advanced", "Advanced"),
        ("/picked", "x", "Intelligent-Tiering", "Standard"),
        ("/picked-long", long, "Intelligent-Tiering", "Advanced"),
    ]:
        assert put(ssm, name, value, Tier=tier)["Tier"] == made
    shown = {one["Name"]: one["Tier"] for one in ssm.describe_parameters()["Parameters"]}
    assert shown == {
        "/standard": "Standard",
        "/advanced": "Advanced",
        "/picked": "Standard",
        "/picked-long": "Advanced",
    }

    assert put(ssm, "/picked", long, Tier="Intelligent-Tiering", Overwrite=True)["Tier"] == "Advanced"
    assert put(ssm, "/picked", "short", Tier="Intelligent-Tiering", Overwrite=True)["Tier"] == "Advanced"
    assert "You can't downgrade" in code(put, ssm=ssm, name="/picked", Tier="Standard", Overwrite=True)[1]


def test_a_secret_is_shown_only_to_who_asks_for_it(aws, ssm):
    """Without WithDecryption it is sealed bytes; in no listing, log line or database row is it to be found."""
    put(ssm, "/db/password", SECRET, Type="SecureString", Description="of the database")
    put(ssm, "/db/password", SECRET, Type="SecureString", KeyId="alias/mine", Overwrite=True)

    reads = [
        (ssm.get_parameter, {"Name": "/db/password"}, lambda answer: answer["Parameter"]),
        (ssm.get_parameters, {"Names": ["/db/password"]}, lambda answer: answer["Parameters"][0]),
        (ssm.get_parameters_by_path, {"Path": "/db"}, lambda answer: answer["Parameters"][0]),
        (ssm.get_parameter_history, {"Name": "/db/password"}, lambda answer: answer["Parameters"][1]),
    ]
    for call, members, pick in reads:
        assert pick(call(**members, WithDecryption=True))["Value"] == SECRET
        sealed = pick(call(**members))["Value"]
        assert SECRET.encode() not in base64.b64decode(sealed, validate=True)
        assert pick(call(**members, WithDecryption=False))["Value"] == sealed
    (listed,) = ssm.describe_parameters()["Parameters"]
    assert (listed["KeyId"], "Value" in listed) == ("alias/mine", False)
    assert SECRET not in str(aws.run(aws.house.dump()))
    assert SECRET not in str(aws.house.lines)


def test_a_sealed_value_is_good_for_its_own_version_only(aws, ssm):
    """Nobody who can write to the database makes the server decrypt one parameter's secret as another's."""
    put(ssm, "/a", SECRET, Type="SecureString")
    put(ssm, "/b", "other", Type="SecureString")
    sealed = {one: base64.b64decode(ssm.get_parameter(Name=one)["Parameter"]["Value"]) for one in ("/a", "/b")}

    def swap():
        from patchwright.server.infra import sql

        yield sql(
            "UPDATE parameter_version SET sealed = $1 WHERE account = $2 AND region = $3 AND path = $4",
            sealed["/a"],
            aws.house.account,
            aws.region,
            "/b",
        )

    aws.run(aws.house.wired.database.write(swap))
    found, message = code(ssm.get_parameter, Name="/b", WithDecryption=True)
    assert found == "InternalServerError"
    assert SECRET not in message


def test_versions_and_labels_select(ssm):
    """By number and by label, in GetParameter and GetParameters; the selector is echoed."""
    for value in ("Veni", "Vidi", "Vici"):
        put(ssm, "/c", value, Overwrite=True)
    ssm.label_parameter_version(Name="/c", ParameterVersion=2, Labels=["good"])

    for selector, value, version in ((":1", "Veni", 1), (":good", "Vidi", 2), (":3", "Vici", 3)):
        one = ssm.get_parameter(Name="/c" + selector)["Parameter"]
        assert (one["Selector"], one["Value"], one["Version"], one["Name"]) == (selector, value, version, "/c")
    many = ssm.get_parameters(Names=["/c:3", "/c:good", "/c", "/c:9", "/c:bad", "/c", "/c:1:2", "/d", "no name"])
    assert [(one.get("Selector"), one["Value"]) for one in many["Parameters"]] == [
        (None, "Vici"),
        (":3", "Vici"),
        (":good", "Vidi"),
    ]
    assert many["InvalidParameters"] == ["/c:9", "/c:bad", "/c:1:2", "/d", "no name"]

    assert code(ssm.get_parameter, Name="/c:9") == (
        "ParameterVersionNotFound",
        "Systems Manager could not find version 9 of /c. Verify the version and try again.",
    )
    assert code(ssm.get_parameter, Name="/c:bad")[0] == "ParameterVersionNotFound"
    assert code(ssm.get_parameter, Name="/c:" + "9" * 40)[0] == "ParameterVersionNotFound"
    assert code(ssm.get_parameter, Name="/d:9") == ("ParameterNotFound", "Parameter /d:9 not found.")
    assert code(ssm.get_parameter, Name="/c:1:2") == ("ParameterNotFound", "Parameter /c:1:2 not found.")


def test_an_arn_is_a_name(aws, ssm):
    """For reading; of another account or region it is unknown, and to write, a name is needed."""
    put(ssm, "/a/b", "1")
    arn = ssm.get_parameter(Name="/a/b")["Parameter"]["ARN"]

    assert ssm.get_parameter(Name=arn)["Parameter"]["Name"] == "/a/b"
    assert ssm.get_parameter(Name=f"{arn}:1")["Parameter"]["Selector"] == ":1"
    assert names(ssm.get_parameter_history(Name=arn)) == ["/a/b"]
    other = arn.replace(aws.region, "mars-north-1")
    answer = ssm.get_parameters(Names=[arn, other])
    assert (names(answer), answer["InvalidParameters"]) == (["/a/b"], [other])
    assert code(ssm.get_parameter, Name=other)[0] == "ParameterNotFound"
    assert code(ssm.delete_parameter, Name=arn)[0] == "ValidationException"
    assert code(ssm.label_parameter_version, Name=arn, Labels=["x"])[0] == "ValidationException"


def test_what_does_not_exist_is_not_found(ssm):
    """ParameterNotFound from every operation that declares it; public parameters do not exist here."""
    calls = [
        (ssm.get_parameter, {}),
        (ssm.get_parameter_history, {}),
        (ssm.delete_parameter, {}),
        (ssm.label_parameter_version, {"Labels": ["x"]}),
        (ssm.unlabel_parameter_version, {"ParameterVersion": 1, "Labels": ["x"]}),
    ]
    for name in ("never", "/aws/service/ami-amazon-linux-latest/x"):
        for call, more in calls:
            assert code(call, Name=name, **more) == ("ParameterNotFound", f"Parameter {name} not found.")
    for call, more in calls:
        assert code(call, Name="{never}", **more)[0] == "ValidationException"
    assert ssm.get_parameters_by_path(Path="/aws/service", Recursive=True)["Parameters"] == []


def test_labels_are_attached_moved_refused_and_removed(ssm):
    """Ten on a version; those that cannot be are listed and change nothing."""
    for value in "12":
        put(ssm, "/c", value, Overwrite=True)

    def labels():
        return [one["Labels"] for one in ssm.get_parameter_history(Name="/c")["Parameters"]]

    wrong = ["9a", "aws-x", "SSMx", "a/b", "a b"]
    answer = ssm.label_parameter_version(Name="/c", Labels=["prod", *wrong])
    assert (answer["ParameterVersion"], answer["InvalidLabels"]) == (2, wrong)
    assert labels() == [[], ["prod"]]

    assert ssm.label_parameter_version(Name="/c", ParameterVersion=1, Labels=["prod", "b", "a"])["InvalidLabels"] == []
    assert labels() == [["a", "b", "prod"], []]

    many = [f"l{number}" for number in range(8)]
    assert code(ssm.label_parameter_version, Name="/c", ParameterVersion=1, Labels=many) == (
        "ParameterVersionLabelLimitExceeded",
        "A parameter version can have maximum 10 labels. Move one or more labels to another version and try again.",
    )
    assert labels() == [["a", "b", "prod"], []]
    ssm.label_parameter_version(Name="/c", ParameterVersion=1, Labels=[*many[:7], "a"])
    assert len(labels()[0]) == 10

    gone = ssm.unlabel_parameter_version(Name="/c", ParameterVersion=1, Labels=["a", "never", "a"])
    assert (gone["RemovedLabels"], gone["InvalidLabels"]) == (["a"], ["never"])
    elsewhere = ssm.unlabel_parameter_version(Name="/c", ParameterVersion=2, Labels=["b"])
    assert (elsewhere["RemovedLabels"], elsewhere["InvalidLabels"]) == ([], ["b"])
    for call in (ssm.label_parameter_version, ssm.unlabel_parameter_version):
        assert code(call, Name="/c", ParameterVersion=7, Labels=["x"])[0] == "ParameterVersionNotFound"
        assert code(call, Name="/c", ParameterVersion=2**62, Labels=["x"])[0] == "ParameterVersionNotFound"
        assert code(call, Name="/c", ParameterVersion=1, Labels=["x" * 101])[0] == "ValidationException"


def test_a_hundred_versions_are_kept_and_the_oldest_labelled_one_holds(ssm):
    """The oldest goes when one more comes, unless it has a label."""
    for number in range(101):
        put(ssm, "/c", f"v{number + 1}", Overwrite=True)

    pages = ssm.get_paginator("get_parameter_history").paginate(Name="/c", PaginationConfig={"PageSize": 30})
    versions = [one["Version"] for page in pages for one in page["Parameters"]]
    assert versions == list(range(2, 102))

    ssm.label_parameter_version(Name="/c", ParameterVersion=2, Labels=["keep"])
    found, message = code(put, ssm=ssm, name="/c", Overwrite=True)
    assert found == "ParameterMaxVersionLimitExceeded"
    assert "Version 2, the oldest version, can't be deleted because it has a label associated with it" in message
    ssm.label_parameter_version(Name="/c", ParameterVersion=101, Labels=["keep"])
    assert put(ssm, "/c", Overwrite=True)["Version"] == 102


def test_deleting_takes_everything_with_it(ssm):
    """Versions begin at one again, without labels and tags."""
    put(ssm, "/c", Tags=[{"Key": "team", "Value": "web"}])
    put(ssm, "/c", Overwrite=True)
    ssm.label_parameter_version(Name="/c", Labels=["x"])

    answer = ssm.delete_parameters(Names=["/c", "c", "/never", "no name"])
    assert (answer["DeletedParameters"], answer["InvalidParameters"]) == (["/c"], ["c", "/never", "no name"])

    assert put(ssm, "/c")["Version"] == 1
    assert code(ssm.get_parameter, Name="/c:x")[0] == "ParameterVersionNotFound"
    assert names(ssm.describe_parameters(ParameterFilters=[{"Key": "tag:team"}])) == []
    assert ssm.delete_parameter(Name="/c")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert code(ssm.delete_parameter, Name="/c")[0] == "ParameterNotFound"


def test_policies_are_kept_listed_and_taken_away(ssm):
    """As the documented example: text without spaces, type, Pending; an empty policy takes them all away."""
    policies = [
        {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2099-06-30T00:00:00.000Z"}},
        {"Type": "ExpirationNotification", "Version": "1.0", "Attributes": {"Before": "5", "Unit": "Days"}},
        {"Type": "NoChangeNotification", "Version": "1.0", "Attributes": {"After": "60", "Unit": "Days"}},
    ]
    assert "advanced" in code(put, ssm=ssm, name="/p", Policies=json.dumps(policies))[1]
    put(ssm, "/p", Tier="Intelligent-Tiering", Policies=json.dumps(policies))
    put(ssm, "/p", Overwrite=True)

    expected = [
        {"PolicyText": json.dumps(one, separators=(",", ":")), "PolicyType": one["Type"], "PolicyStatus": "Pending"}
        for one in policies
    ]
    (listed,) = ssm.describe_parameters()["Parameters"]
    assert (listed["Policies"], listed["Tier"]) == (expected, "Advanced")
    put(ssm, "/p", Overwrite=True, Policies="[{}]")
    assert [one["Policies"] for one in ssm.get_parameter_history(Name="/p")["Parameters"]] == [expected, expected, []]


def test_nodes_read_parameters_and_do_nothing_else_with_them(aws, ssm):
    """What AmazonSSMManagedInstanceCore lets them do; of secrets those that are tagged for nodes."""
    put(ssm, "/n", SECRET, Type="SecureString")
    node = aws.enrol()

    async def ask(operation, **members):
        return await aws.house.call(f"AmazonSSM.{operation}", members, key=node)

    put(ssm, "/plain", "1", Type="String")
    assert aws.run(ask("GetParameter", Name="/plain", WithDecryption=True)).json["Parameter"]["Value"] == "1"
    assert aws.run(ask("GetParameter", Name="/none", WithDecryption=True)).code == "ParameterNotFound"
    both = {"Names": ["/plain", "/n"], "WithDecryption": True}
    for denied in (ask("GetParameter", Name="/n:1", WithDecryption=True), ask("GetParameters", **both)):
        refusal = aws.run(denied)
        assert (refusal.code, "not tagged patchwright:NodeAccess=allow" in refusal.json["message"]) == (
            "AccessDeniedException",
            True,
        )
    tag = {"Key": "patchwright:NodeAccess", "Value": "allow"}
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/n", Tags=[tag])
    one = aws.run(ask("GetParameter", Name="/n", WithDecryption=True))
    assert one.json["Parameter"]["Value"] == SECRET
    assert len(aws.run(ask("GetParameters", **both)).json["Parameters"]) == 2
    assert aws.run(ask("GetParameters", Names=["/n"])).status == 200
    for operation, members in {
        "PutParameter": {"Name": "/x", "Value": "1", "Type": "String"},
        "DeleteParameter": {"Name": "/n"},
        "DescribeParameters": {},
        "GetParametersByPath": {"Path": "/"},
    }.items():
        assert aws.run(ask(operation, **members)).code == "AccessDeniedException", operation


def test_another_region_sees_nothing(aws, ssm):
    """The same name elsewhere is another parameter."""
    put(ssm, "/here", "mine")
    elsewhere = aws.client(region=f"{aws.region}-b")

    assert elsewhere.describe_parameters()["Parameters"] == []
    assert code(elsewhere.get_parameter, Name="/here")[0] == "ParameterNotFound"
    put(elsewhere, "/here", "theirs")
    elsewhere.delete_parameter(Name="/here")
    assert ssm.get_parameter(Name="/here")["Parameter"]["Value"] == "mine"


def test_those_who_put_at_once_make_a_version_each(ssm):
    """No version is lost, and none is made twice."""
    put(ssm, "/busy")
    made = []

    def work(number):
        made.append(ssm.put_parameter(Name="/busy", Value=f"v{number}", Overwrite=True)["Version"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == list(range(2, 10))
    history = ssm.get_parameter_history(Name="/busy")["Parameters"]
    assert [one["Version"] for one in history] == list(range(1, 10))


def test_of_those_who_create_at_once_one_does(ssm):
    """The others learn that it exists."""
    told = []

    def work():
        try:
            told.append(put(ssm, "/once")["Version"])
        except ClientError as error:
            told.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told, key=str) == [1, *["ParameterAlreadyExists"] * 5]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "((a{1000}){1000}){1000}"])
def test_a_hostile_pattern_hangs_nobody(aws, ssm, pattern):
    """It is refused after its second, and others are answered meanwhile."""
    answered = threading.Event()
    refused = []

    def work():
        refused.append(code(put, ssm=ssm, name="/evil", value="a" * 4000 + "!", AllowedPattern=pattern)[0])
        answered.set()

    thread = threading.Thread(target=work)
    thread.start()
    other = aws.client()
    asked = 0
    while not answered.is_set():
        other.describe_parameters()
        asked += 1
    thread.join()

    assert asked >= 1
    assert refused[0] in {"InvalidAllowedPatternException", "ParameterPatternMismatchException"}
    assert ssm.describe_parameters()["Parameters"] == []
