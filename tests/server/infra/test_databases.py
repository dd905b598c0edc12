# SPDX-License-Identifier: Apache-2.0
"""The fixtures themselves: a missing PostgreSQL is loud, and fatal where it has to be there."""

from __future__ import annotations

import pytest

from server import databases


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("PATCHWRIGHT_REQUIRE_POSTGRES", "1")])
def test_without_postgresql_a_required_run_fails(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Half of the promises are not dropped in silence."""
    monkeypatch.setattr(databases, "find_postgres", lambda: None)
    monkeypatch.setenv(name, value)

    with pytest.raises(pytest.fail.Exception, match="PostgreSQL is not installed"):
        next(databases._start_cluster())


def test_without_postgresql_a_developers_run_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to install."""
    monkeypatch.setattr(databases, "find_postgres", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PATCHWRIGHT_REQUIRE_POSTGRES", raising=False)

    with pytest.raises(pytest.skip.Exception, match="apt-get install postgresql"):
        next(databases._start_cluster())
