# SPDX-License-Identifier: Apache-2.0
"""Roots with made-up packages, for what a provider does to a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contract.apt_root import AptRoot, publish
from contract.provider import Made
from contract.rpm_node import Make, RpmNode
from contract.rpm_node import publish as publish_rpms
from drawing import draw
from farm import DebRepo, Farm, Node, RpmRepo
from farm.fixtures import debrepo, farm, new_node, rpmrepo

__all__ = ["debrepo", "farm", "new_node", "rpmrepo"]


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


@pytest.fixture
def rpm_node(rpmrepo: RpmRepo, new_node: Callable[..., Node]) -> Callable[..., RpmNode]:
    """
    Makes a booted node of a kind (dnf4, dnf5, zypper) with `rpmrepo`, driven by a provider of that class; *installed* are
    packages of it in their release version, *os* what the node says it is.
    """

    def of(kind: str, make: Make, *installed: str, os: str = "") -> RpmNode:
        return RpmNode(rpmrepo, new_node(kind, rpmrepo, installed=list(installed), os=os), kind=kind, make=make)

    return of


@pytest.fixture
def rpm_world_of(rpmrepo: RpmRepo, rpm_node: Callable[..., RpmNode]) -> Callable[..., Callable[..., RpmNode]]:
    """What the contract asks for: `rpm_world_of("dnf4", Dnf)` makes nodes with `Made` packages."""

    def of(kind: str, make: Make, *, os: str = "") -> Callable[..., RpmNode]:
        return lambda *packages: rpm_node(kind, make, *publish_rpms(rpmrepo, packages), os=os)

    return of


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Half of the contract on each package manager."""
    draw(config, items, lambda item: 2 if item.path.name.endswith("_contract.py") else 1)
