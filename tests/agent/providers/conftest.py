# SPDX-License-Identifier: Apache-2.0
"""Roots with made-up packages, for what a provider does to a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contract.apt_root import AptRoot, publish
from contract.provider import Made
from farm import DebRepo, Farm, Node
from farm.fixtures import debrepo, farm, new_node

__all__ = ["debrepo", "farm", "new_node"]


@pytest.fixture
def apt_root(farm: Farm, debrepo: DebRepo, new_node: Callable[..., Node]) -> Callable[..., AptRoot]:
    """Makes a root whose archive is `debrepo`; *installed* are packages of it in their release version."""

    def make(*installed: str, kind: str = "deb12") -> AptRoot:
        node = new_node(kind, debrepo, installed=list(installed), start=False)
        return AptRoot(debrepo, node, farm)

    return make


@pytest.fixture
def apt_world(debrepo: DebRepo, apt_root: Callable[..., AptRoot]) -> Callable[..., AptRoot]:
    """Makes a root with `Made` packages."""
    return lambda *packages: apt_root(*publish(debrepo, packages))


@pytest.fixture
def apt_world_of(farm: Farm, new_node: Callable[..., Node]) -> Iterator[Callable[..., Callable[..., AptRoot]]]:
    """The same on another release: kind of node and code name give what `apt_world` is."""
    repos: list[DebRepo] = []

    def of(kind: str, codename: str) -> Callable[..., AptRoot]:
        repo = farm.debrepo(codename)
        repos.append(repo)

        def make(*packages: Made) -> AptRoot:
            installed = publish(repo, packages)
            return AptRoot(repo, new_node(kind, repo, installed=installed, start=False), farm)

        return make

    yield of
    for repo in repos:
        repo.close()
