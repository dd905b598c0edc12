# SPDX-License-Identifier: Apache-2.0
"""Tables of the settings room: service settings that were changed."""

from __future__ import annotations

from sqlalchemy import Column, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, TEXT, owned

SERVICE_SETTING = owned(  # a setting that has its default has no row
    "service_setting",
    Column("id", TEXT, nullable=False),  # as in /ssm/parameter-store/default-parameter-tier
    Column("value", TEXT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    Column("modified_by", TEXT, nullable=False),  # the ARN of whoever changed it
    PrimaryKeyConstraint("account", "region", "id"),
)
