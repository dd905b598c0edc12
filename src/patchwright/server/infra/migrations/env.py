# SPDX-License-Identifier: Apache-2.0
"""Run by Alembic: migrate over the connection that `schema.upgrade` gives, inside its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=False,  # the caller's transaction holds all revisions
)
context.run_migrations()
