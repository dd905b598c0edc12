# SPDX-License-Identifier: Apache-2.0
"""
Every paginator that botocore has for an operation that is served: every item once and in the same order, whatever the page
size, and no page by another request's token.
"""

from __future__ import annotations

import asyncio
import itertools

import botocore.session
import pytest
from botocore.exceptions import ClientError

from server.aws.served import Account, new_region
from server.aws.tenant import Tenant
from server.aws.test_unserved import SERVED
from server.wire.client import MODELS

PAGINATORS = botocore.session.get_session().get_paginator_model("ssm")._paginator_config
SHAPES = MODELS.service("AmazonSSM").model["shapes"]
OPERATIONS = sorted(SERVED & set(PAGINATORS))
MANY = 13  # more than any smallest page but GetInventorySchema's
# What cannot have a second page here, and why.
ONE_PAGE = {
    "DescribeMaintenanceWindowExecutions": "no window has run",
    "GetInventorySchema": "the smallest page has 50 types",
    "GetResourcePolicies": "a parameter has one policy",
    "ListNodesSummary": "the nodes are all of one platform",
    "DescribeMaintenanceWindowsForTarget": "one window has registered targets",
}
NEEDS_AN_EXECUTION = {
    "DescribeMaintenanceWindowExecutionTaskInvocations",
    "DescribeMaintenanceWindowExecutionTasks",
}


@pytest.fixture(scope="module")
def tenant(served):
    """A region with thirteen of everything."""
    account = Account(served, new_region())
    made = Tenant(account.house, account.region, many=MANY)
    work = asyncio.run_coroutine_threadsafe(made.furnish(), served._loop)
    work.result(timeout=120)
    made.client = account.client()
    return made


def pages(tenant, operation, size=None):
    """The lists of items of each page, by botocore's paginator."""
    method = "".join("_" + letter.lower() if letter.isupper() else letter for letter in operation).lstrip("_")
    settings = {} if size is None else {"PageSize": size}
    found = tenant.client.get_paginator(method).paginate(**tenant.reads()[operation], PaginationConfig=settings)
    return [page[PAGINATORS[operation]["result_key"]] for page in itertools.islice(found, 500)]


def sizes(operation):
    """Page sizes: the smallest, some in between, the largest."""
    members = SHAPES[MODELS.service("AmazonSSM").model["operations"][operation]["input"]["shape"]]["members"]
    shape = SHAPES[members["MaxResults"]["shape"]]
    low, high = shape.get("min", 1), shape.get("max", 100)
    return sorted({low, min(low + 1, high), min(low + 2, high), high})


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - NEEDS_AN_EXECUTION))
def test_every_item_comes_once_and_in_the_same_order(tenant, operation):
    """By pages of the default size, of the smallest, of some in between and of the largest."""
    whole = [item for page in pages(tenant, operation) for item in page]
    assert len(whole) == len({repr(item) for item in whole})
    assert whole or operation in ONE_PAGE
    for size in sizes(operation):
        found = pages(tenant, operation, size)
        assert [item for page in found for item in page] == whole, size
        assert all(len(page) <= size for page in found)
        assert len(found) > 1 or size != sizes(operation)[0] or operation in ONE_PAGE or len(whole) <= size, size
    assert len(whole) > sizes(operation)[0] or operation in ONE_PAGE, len(whole)


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - NEEDS_AN_EXECUTION - set(ONE_PAGE)))
def test_a_token_of_another_request_is_refused(tenant, operation):
    """Of another operation, of another region, with other members, cut short, or made up: one of the two errors AWS has for it."""
    ask = tenant.reads()[operation]
    size = {"MaxResults": sizes(operation)[0]}
    token = tenant.client._make_api_call(operation, {**ask, **size})["NextToken"]
    other = "DescribePatchBaselines" if operation != "DescribePatchBaselines" else "DescribePatchGroups"
    foreign = tenant.client._make_api_call(other, {**tenant.reads()[other], "MaxResults": 1})["NextToken"]
    for wrong in (foreign, token[:-4], token + "AAAA", "AAAA", "x", "é", token[::-1]):
        with pytest.raises(ClientError) as refused:
            tenant.client._make_api_call(operation, {**ask, **size, "NextToken": wrong})
        assert refused.value.response["Error"]["Code"] in {"InvalidNextToken", "ValidationException"}, wrong
    assert tenant.client._make_api_call(operation, {**ask, "MaxResults": sizes(operation)[-1], "NextToken": token})


def test_every_paginator_is_tried():
    """An operation that is served and has a paginator is on one of the lists above, and none that is not."""
    assert set(ONE_PAGE) | NEEDS_AN_EXECUTION <= set(OPERATIONS)
    assert len(OPERATIONS) > 30
