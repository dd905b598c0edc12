# SPDX-License-Identifier: Apache-2.0
"""Every operation that may be served, with what it asks for. What is not here is for root alone."""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.server.aws.authority import identities, nodes, systems
from patchwright.server.aws.authority.rules import Rule

TABLE: Mapping[str, Rule] = {**identities.RULES, **nodes.RULES, **systems.RULES}
