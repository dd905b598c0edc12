# SPDX-License-Identifier: Apache-2.0
"""What every package provider promises. A subclass says how a node of its kind is made; see `ProviderContract.world`."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from patchwright.agent.errors import LockHeld
from patchwright.agent.providers import Outcome, Provider, Reading
from patchwright.core.facts import NodeFacts, View
from patchwright.core.package import Origin, PackageSet
from patchwright.core.plan import Action, Intent, Plan, Resolution, Wanted, drift
from patchwright.core.planning import settle
from patchwright.core.system import OperatingSystem


@dataclass(frozen=True)
class Made:
    """
    A made-up package. *old* is installed (empty: it is not), *new* is offered by the security repository.

    *needs* are names, or `name=version`, that only the new version needs; *fails* is `configure` (a script after the files
    are there) or `unpack` (a script before that). *restarts*: after the update the system itself asks for a restart.
    *side_by_side*: install-only, as kernels are.
    """

    name: str
    old: str = "1.0-1"
    new: str = "1.0-2"
    needs: tuple[str, ...] = ()
    fails: str = ""
    restarts: bool = False
    side_by_side: bool = False


class World(abc.ABC):
    """
    A node with made-up packages, and its provider. Everything here is the manager's own business; the suite below asks for
    it in the same words everywhere.

    Attributes:
        arch: The architecture of the made-up packages.
        updates: What the name of the repository of the new versions has in it.
        lock_stops_refresh: Whether who installs keeps others from refreshing, too.
    """

    provider: Provider
    arch: str
    updates: str
    lock_stops_refresh = True
    operating_system = OperatingSystem.DEBIAN

    @abc.abstractmethod
    def hold(self, name: str) -> None:
        """Hold a package on the node."""

    @abc.abstractmethod
    def break_off(self, name: str) -> None:
        """Leave a package in its new version as an interrupted update does: on apt not configured."""

    @abc.abstractmethod
    def is_update(self, origin: Origin) -> bool:
        """Whether this is the repository of the new versions."""

    @abc.abstractmethod
    def silence(self) -> None:
        """Make the repository of the new versions unreachable."""

    @abc.abstractmethod
    def lock(self) -> Callable[[], int]:
        """Hold the package manager's lock by another process; answers with what ends it and gives its pid on the node."""

    def rejection(self, name: str) -> str:
        """The entry of a rejected list that names the new version of a made-up package: on apt its name."""
        return name

    def key(self, name: str) -> str:
        """`name.arch` of a made-up package."""
        return f"{name}.{self.arch}"

    def versions(self) -> dict[str, str]:
        """Installed versions by `name.arch`."""
        return {package.key: package.version for package in self.provider.read().packages.packages}

    def view(self) -> View:
        """The facts as the server sees them; the system's own facts are made up."""
        reading = self.provider.read()
        return view_of(self.provider, reading, self.operating_system)

    def intent(self, *names: str, blocked: Sequence[str] = ()) -> Intent:
        """The intent to bring *names* to their candidates."""
        now, candidates = self.versions(), self.view().candidates()
        wanted = tuple(
            Wanted(name, self.arch, now[self.key(name)], candidates[self.key(name)]) for name in sorted(names)
        )
        return Intent(wanted, blocked=tuple(sorted(self.rejection(name) for name in blocked)))

    def plan(self, intent: Intent) -> Plan:
        """The plan that the server makes of the node's resolution."""
        return settle(intent, self.provider.resolve(intent), manager=self.provider.manager, snapshot_id="s-1")

    def install(self, *names: str) -> Outcome:
        """Bring *names* to their candidates."""
        return self.provider.install(self.plan(self.intent(*names)), lambda line: None)


def view_of(provider: Provider, reading: Reading, operating_system: OperatingSystem) -> View:
    """A reading with the bodies behind its digests."""
    facts = NodeFacts(
        manager=provider.manager,
        operating_system=operating_system,
        product="made up",
        package_set=reading.packages.digest,
        slices=tuple(ref for _, ref in reading.slices),
        notices=tuple(notice.digest for notice in reading.notices),
        modules=reading.modules,
        pins=reading.pins,
        held=reading.held,
    )
    return View(
        facts, reading.packages, tuple(part for part, _ in reading.slices), {one.id: one for one in reading.notices}
    )


def keys(resolution: Resolution) -> dict[str, tuple[str, str, bool]]:
    """Actions by key: before, after, wanted."""
    return {action.key: (action.before, action.after, action.wanted) for action in resolution.actions}


@pytest.mark.farm
class ProviderContract(abc.ABC):
    """Subclass it as `Test…` in the provider's tests."""

    @pytest.fixture
    @abc.abstractmethod
    def world(self) -> Callable[..., World]:
        """Makes a node with these `Made` packages installed in their old versions, the new ones offered."""

    def test_what_is_installed_is_read_with_its_state(self, world):
        """The package set holds the made-up packages, configured, and reads back from its canonical form."""
        node = world(Made("foo"), Made("bar", old="2:3.1~rc1-1", new="2:3.1-1"))
        packages = node.provider.read().packages

        assert PackageSet.parse(packages.canonical()) == packages
        assert {p.key: (p.version, p.state) for p in packages.packages if p.name in ("foo", "bar")} == {
            node.key("foo"): ("1.0-1", "installed"),
            node.key("bar"): ("2:3.1~rc1-1", "installed"),
        }

    def test_the_database_alone_says_what_reading_says(self, world):
        """`installed` has every package of `read` in its version, and no other."""
        node = world(Made("foo"), Made("bar", old="2:3.1~rc1-1", new="2:3.1-1"))

        assert node.versions() == node.provider.installed()

    def test_every_offered_version_is_read_older_ones_too(self, world):
        """Slices hold the release's version and the update's, each with its origin; nothing not installed."""
        node = world(Made("foo"), Made("absent", old=""))
        offers = {
            (offer.name, offer.version): node.is_update(part.origin)
            for part, _ in node.provider.read().slices
            for offer in part.offers
        }

        assert offers[("foo", "1.0-1")] is False
        assert offers[("foo", "1.0-2")] is True
        assert not [name for name, _ in offers if name == "absent"]

    def test_reading_twice_gives_the_same_digests(self, world):
        """Digests depend on content alone."""
        node = world(Made("foo"))

        assert [node.view().facts.digests for _ in range(2)] == [node.view().facts.digests] * 2

    def test_candidates_are_the_managers_own(self, world):
        """The view's candidates are what the manager itself names, which also answers for what is not installed."""
        node = world(Made("foo"), Made("bar", new=""), Made("absent", old=""))
        asked = [node.key(name) for name in ("foo", "bar", "absent", "nowhere")]

        assert node.provider.candidates(asked) == {
            node.key("foo"): "1.0-2",
            node.key("bar"): "1.0-1",
            node.key("absent"): "1.0-2",
        }
        assert {key: node.view().candidates()[key] for key in asked[:2]} == {asked[0]: "1.0-2", asked[1]: "1.0-1"}

    def test_what_is_wanted_is_resolved_with_what_it_needs(self, world):
        """A new dependency comes in, not wanted; what nobody asked for stays as it is."""
        node = world(Made("foo", needs=("libfoo",)), Made("libfoo", old=""), Made("bar"))
        intent = node.intent("foo")
        resolution = node.provider.resolve(intent)

        assert keys(resolution) == {
            node.key("foo"): ("1.0-1", "1.0-2", True),
            node.key("libfoo"): ("", "1.0-2", False),
        }
        assert resolution.unresolved == {}
        assert drift(node.plan(intent), node.versions(), node.provider.candidates(list(keys(resolution)))) == ()

    def test_a_dependency_that_is_installed_is_upgraded_when_needed(self, world):
        """An installed dependency goes to the version that is needed, and says where it comes from."""
        node = world(Made("foo", needs=("libfoo=1.0-2",)), Made("libfoo"))

        assert keys(node.provider.resolve(node.intent("foo"))) == {
            node.key("foo"): ("1.0-1", "1.0-2", True),
            node.key("libfoo"): ("1.0-1", "1.0-2", False),
        }

    def test_nothing_wanted_resolves_to_nothing(self, world):
        """An empty intent has an empty resolution."""
        node = world(Made("foo"))

        assert node.provider.resolve(Intent(())) == Resolution((), {})

    def test_what_needs_a_blocked_package_is_explained_and_the_rest_goes_on(self, world):
        """The one that needs the blocked name is unresolved, and the reason names it; the others are resolved."""
        node = world(Made("foo", needs=("libfoo=1.0-2",)), Made("libfoo"), *(Made(f"other{n}") for n in range(5)))
        intent = node.intent("foo", *(f"other{n}" for n in range(5)), blocked=["libfoo"])
        resolution = node.provider.resolve(intent)

        assert sorted(keys(resolution)) == [node.key(f"other{n}") for n in range(5)]
        assert list(resolution.unresolved) == [node.key("foo")]
        assert "needs libfoo, which the baseline rejects" in resolution.unresolved[node.key("foo")]
        assert node.plan(intent).unresolved

    def test_an_unsatisfiable_dependency_is_explained_and_the_rest_goes_on(self, world):
        """What needs something that nobody offers is unresolved with the manager's own reason."""
        node = world(Made("foo", needs=("nowhere",)), Made("bar"), Made("baz"))
        resolution = node.provider.resolve(node.intent("foo", "bar", "baz"))

        assert sorted(keys(resolution)) == [node.key("bar"), node.key("baz")]
        assert "nowhere" in resolution.unresolved[node.key("foo")]

    def test_a_held_package_is_not_resolved(self, world):
        """A held package is reported as held, is not changed for itself, nor because another one needs it."""
        node = world(Made("foo"), Made("bar", needs=("foo=1.0-2",)), Made("baz"))
        node.hold("foo")
        resolution = node.provider.resolve(node.intent("foo", "bar", "baz"))

        assert node.provider.read().held == (node.key("foo"),)
        assert sorted(keys(resolution)) == [node.key("baz")]
        assert resolution.unresolved[node.key("foo")] == "held on the node"
        assert "foo" in resolution.unresolved[node.key("bar")]

    def test_what_moved_since_the_facts_is_explained(self, world):
        """An intent made for another installed version, or for a package that is gone, is not resolved."""
        node = world(Made("foo"))
        intent = Intent((Wanted("foo", node.arch, "0.9-1", "1.0-2"), Wanted("gone", node.arch, "1", "2")))
        resolution = node.provider.resolve(intent)

        assert resolution.actions == ()
        assert "1.0-1 is installed now" in resolution.unresolved[node.key("foo")]
        assert "not installed any more" in resolution.unresolved[node.key("gone")]

    def test_resolving_changes_nothing(self, world):
        """The node reads the same before and after a resolution."""
        node = world(Made("foo"), Made("bar", needs=("nowhere",)))
        before = node.view().facts
        node.provider.resolve(node.intent("foo", "bar", blocked=["baz"]))

        assert node.view().facts == before

    def test_a_plan_is_installed_exactly(self, world):
        """The plan's packages reach their versions; one that has an update but is not in the plan does not."""
        node = world(Made("foo", needs=("libfoo",)), Made("libfoo", old=""), Made("bar"))
        outcome = node.install("foo")

        assert outcome.failures == {}
        assert {key: node.versions()[key] for key in map(node.key, ("foo", "libfoo", "bar"))} == {
            node.key("foo"): "1.0-2",
            node.key("libfoo"): "1.0-2",
            node.key("bar"): "1.0-1",
        }

    def test_an_installed_plan_is_left_alone(self, world):
        """Carrying a plan out twice does nothing the second time."""
        node = world(Made("foo"))
        plan = node.plan(node.intent("foo"))
        first = node.provider.install(plan, lambda line: None)
        before = node.view().facts
        lines: list[str] = []

        assert first.failures == {}
        assert node.provider.install(plan, lines.append).failures == {}
        assert lines == []
        assert node.view().facts == before

    def test_a_half_done_plan_is_finished(self, world):
        """What an interruption left is finished, and the rest of the plan installed."""
        node = world(Made("foo"), Made("bar"))
        plan = node.plan(node.intent("foo", "bar"))
        node.break_off("foo")

        assert node.provider.install(plan, lambda line: None).failures == {}
        assert {p.key: p.state for p in node.provider.read().packages.packages if p.name in ("foo", "bar")} == {
            node.key("foo"): "installed",
            node.key("bar"): "installed",
        }

    @pytest.mark.parametrize("fails", ["configure", "unpack"])
    def test_a_package_that_fails_keeps_nobody_out(self, world, fails):
        """The failing package is named with its own reason; those before and after it in the alphabet are installed."""
        names = ("aaa", "foo", "zzz")
        node = world(Made("aaa"), Made("foo", fails=fails), Made("zzz"))
        outcome = node.install(*names)

        assert list(outcome.failures) == [node.key("foo")]
        assert "script" in outcome.failures[node.key("foo")]
        assert {name: node.versions()[node.key(name)] for name in names} == {
            "aaa": "1.0-2",
            "foo": "1.0-2" if fails == "configure" else "1.0-1",
            "zzz": "1.0-2",
        }

    def test_a_version_that_is_gone_keeps_nobody_out(self, world):
        """A plan whose version the repositories no longer offer fails for that package alone."""
        node = world(Made("foo"), Made("bar"))
        plan = node.plan(node.intent("foo", "bar"))
        actions = tuple(
            action if action.name == "bar" else type(action)(action.name, action.arch, "1.0-1", "9.9", wanted=True)
            for action in plan.actions
        )
        outcome = node.provider.install(Plan(plan.manager, "s-1", actions), lambda line: None)

        assert list(outcome.failures) == [node.key("foo")]
        assert "9.9" in outcome.failures[node.key("foo")]
        assert node.versions()[node.key("bar")] == "1.0-2"

    def test_nothing_beyond_the_plan_is_installed(self, world):
        """A plan that leaves out a dependency is not filled up: the package fails, and says what it would need."""
        node = world(Made("foo", needs=("libfoo",)), Made("libfoo", old=""))
        plan = node.plan(node.intent("foo"))
        short = Plan(plan.manager, "s-1", tuple(action for action in plan.actions if action.name == "foo"))
        outcome = node.provider.install(short, lambda line: None)

        assert "libfoo" in outcome.failures[node.key("foo")]
        assert node.versions()[node.key("foo")] == "1.0-1"
        assert node.key("libfoo") not in node.versions()

    def test_a_version_below_the_installed_one_is_refused(self, world):
        """Neither does an intent go back, nor a plan that names an older version: the package says why and stays."""
        node = world(Made("foo"), Made("bar"))
        assert node.install("foo").failures == {}
        back = Intent((Wanted("foo", node.arch, "1.0-2", "1.0-1"),))
        resolution = node.provider.resolve(back)
        action = Action("foo", node.arch, "1.0-2", "1.0-1", wanted=True)
        plan = Plan(node.provider.manager, "s-1", (*node.plan(node.intent("bar")).actions, action))
        outcome = node.provider.install(plan, lambda line: None)

        assert resolution.actions == ()
        assert list(resolution.unresolved) == list(outcome.failures) == [node.key("foo")]
        assert {node.versions()[node.key(name)] for name in ("foo", "bar")} == {"1.0-2"}

    def test_packages_that_cannot_be_fetched_stay_as_they_are(self, world):
        """A repository that is gone after the plan was made: every package says so, and none has changed."""
        node = world(Made("foo"), Made("bar"))
        plan = node.plan(node.intent("foo", "bar"))
        node.silence()
        outcome = node.provider.install(plan, lambda line: None)

        assert sorted(outcome.failures) == [node.key("bar"), node.key("foo")]
        assert {node.versions()[node.key(name)] for name in ("foo", "bar")} == {"1.0-1"}

    def test_a_silent_repository_is_a_problem_that_names_it(self, world):
        """Refreshing with a dead repository raises nothing, names that one, and says when all was last well."""
        node = world(Made("foo"))
        fine = node.provider.refresh()
        node.silence()
        refreshed = node.provider.refresh()

        assert fine.problems == ()
        assert len(refreshed.problems) == 1
        assert node.updates in refreshed.problems[0].repository
        assert refreshed.problems[0].message
        assert refreshed.refreshed_at == pytest.approx(fine.refreshed_at, abs=1e-3)
        assert node.versions()[node.key("foo")] == "1.0-1"

    def test_a_held_lock_is_reported_with_its_holder(self, world):
        """Whoever holds the lock past the deadline is named by process id."""
        node = world(Made("foo"))
        plan = node.plan(node.intent("foo"))
        end = node.lock()
        try:
            with pytest.raises(LockHeld) as caught:
                node.provider.install(plan, lambda line: None)
            if node.lock_stops_refresh:
                with pytest.raises(LockHeld):
                    node.provider.refresh()
        finally:
            pid = end()

        assert caught.value.pid == pid
        assert caught.value.command
        assert node.provider.install(plan, lambda line: None).failures == {}
