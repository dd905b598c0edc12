# SPDX-License-Identifier: Apache-2.0
"""Service settings through boto3 (spec §1.15, §1.19)."""

from __future__ import annotations

import time

import pytest

from server.aws.served import new_region

THROUGHPUT = "/ssm/parameter-store/high-throughput-enabled"


def test_a_setting_is_read_set_and_reset(aws, ssm):
    """By id and by ARN; who set it is told, and when."""
    before = ssm.get_service_setting(SettingId=THROUGHPUT)["ServiceSetting"]
    arn = before["ARN"]
    assert set(ssm.update_service_setting(SettingId=arn, SettingValue="true")) == {"ResponseMetadata"}
    during = ssm.get_service_setting(SettingId=THROUGHPUT)["ServiceSetting"]
    after = ssm.reset_service_setting(SettingId=arn)["ServiceSetting"]

    assert arn == f"arn:aws:ssm:{aws.region}:{aws.house.account}:servicesetting{THROUGHPUT}"
    assert (before["SettingId"], before["SettingValue"], before["Status"]) == (THROUGHPUT, "false", "Default")
    assert (during["SettingId"], during["SettingValue"], during["Status"]) == (THROUGHPUT, "true", "Customized")
    assert during["LastModifiedUser"] == aws.house.root.principal
    assert abs(during["LastModifiedDate"].timestamp() - time.time()) < 60
    assert after == before == ssm.get_service_setting(SettingId=arn)["ServiceSetting"]
    assert set(before) == {"SettingId", "SettingValue", "LastModifiedDate", "LastModifiedUser", "ARN", "Status"}


def test_a_setting_is_of_one_region(aws, ssm):
    """Its neighbour keeps the default."""
    ssm.update_service_setting(SettingId=THROUGHPUT, SettingValue="true")

    elsewhere = aws.client(region=new_region())
    assert elsewhere.get_service_setting(SettingId=THROUGHPUT)["ServiceSetting"]["SettingValue"] == "false"


@pytest.mark.parametrize("setting_id", ["/ssm/unknown", "x", "arn:aws:ssm:us-east-1:999999999999:servicesetting/ssm/x"])
def test_a_setting_that_does_not_exist_is_not_found(ssm, setting_id):
    """By every operation."""
    for call, more in (
        (ssm.get_service_setting, {}),
        (ssm.update_service_setting, {"SettingValue": "true"}),
        (ssm.reset_service_setting, {}),
    ):
        with pytest.raises(ssm.exceptions.ServiceSettingNotFound):
            call(SettingId=setting_id, **more)


@pytest.mark.parametrize("value", ["True", "yes", "", "x" * 4097])
def test_a_value_that_a_setting_cannot_have_is_refused(ssm, value):
    """And changes nothing."""
    with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
        ssm.update_service_setting(SettingId=THROUGHPUT, SettingValue=value)

    assert ssm.get_service_setting(SettingId=THROUGHPUT)["ServiceSetting"]["Status"] == "Default"


def test_the_default_tier_is_that_of_parameters_that_name_none(ssm):
    """New ones and those that are overwritten; a tier that is named counts."""
    for name in ("old", "kept"):
        ssm.put_parameter(Name=name, Value="1", Type="String")
    ssm.update_service_setting(SettingId="/ssm/parameter-store/default-parameter-tier", SettingValue="Advanced")

    assert ssm.put_parameter(Name="new", Value="1", Type="String")["Tier"] == "Advanced"
    assert ssm.put_parameter(Name="small", Value="1", Type="String", Tier="Standard")["Tier"] == "Standard"
    assert ssm.put_parameter(Name="old", Value="2", Overwrite=True)["Tier"] == "Advanced"
    assert ssm.get_parameter(Name="kept")["Parameter"]["Version"] == 1

    ssm.update_service_setting(
        SettingId="/ssm/parameter-store/default-parameter-tier", SettingValue="Intelligent-Tiering"
    )
    assert ssm.put_parameter(Name="long", Value="x" * 5000, Type="String")["Tier"] == "Advanced"
    assert ssm.put_parameter(Name="short", Value="x", Type="String")["Tier"] == "Standard"


def test_documents_become_public_only_where_the_account_allows_it(ssm):
    """Accounts that are named are another thing."""
    content = '{"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "a", "inputs": {}}]}'
    for name in ("one", "two"):
        ssm.create_document(Name=name, Content=content, DocumentType="Command")
    ssm.modify_document_permission(Name="one", PermissionType="Share", AccountIdsToAdd=["all"])
    ssm.update_service_setting(SettingId="/ssm/documents/console/public-sharing-permission", SettingValue="Disable")

    with pytest.raises(ssm.exceptions.DocumentPermissionLimit):
        ssm.modify_document_permission(Name="two", PermissionType="Share", AccountIdsToAdd=["all"])
    ssm.modify_document_permission(Name="two", PermissionType="Share", AccountIdsToAdd=["111122223333"])
    ssm.modify_document_permission(Name="one", PermissionType="Share", AccountIdsToRemove=["all"])
    for name, accounts in (("one", []), ("two", ["111122223333"])):
        assert ssm.describe_document_permission(Name=name, PermissionType="Share")["AccountIds"] == accounts
