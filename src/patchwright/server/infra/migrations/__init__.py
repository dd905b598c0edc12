# SPDX-License-Identifier: Apache-2.0
"""Alembic's environment and the revisions. `python -m patchwright.server.infra.migrations` drafts a revision."""
