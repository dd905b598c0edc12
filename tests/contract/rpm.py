# SPDX-License-Identifier: Apache-2.0
"""What a provider for rpm systems promises beyond the suite for all: notices, kernels side by side, restarts."""

from __future__ import annotations

from collections.abc import Callable

from contract.provider import Made, ProviderContract
from contract.rpm_node import INSTALL, RpmNode
from farm import Farm
from patchwright.core.source import Source

KERNELS = ("kernel-core", "kernel-default")  # Red Hat's and SUSE's: each tool knows its own
MODULE = {"dnf4": ["dnf", "--assumeyes", "module"], "dnf5": ["dnf5", "--assumeyes", "module"]}


class RpmContract(ProviderContract):
    """Subclass it as `Test…`; `world` is a fixture that answers `rpm_world_of(KIND, PROVIDER)`."""

    def test_a_notice_is_read_with_all_that_it_says(self, world: Callable[..., RpmNode]):
        """Kind, severity, days, CVEs, Bugzilla ids and the wish for a restart; and its packages name it."""
        node = world(Made("foo"), Made("plain", new=""))
        rpm = node.repo.update("foo", "1.0-3")
        node.repo.update("plain", "1.0-2")
        node.repo.advisory(
            "FARM-2024:77",
            [rpm],
            severity="Critical",
            title="A hole in foo",
            issued="2024-02-03 23:59:59",
            updated="2024-02-05",
            cves=["CVE-2024-2", "CVE-2024-1"],
            bugzillas=["1234567"],
            reboot=True,
        )
        assert node.provider.refresh().problems == ()
        reading = node.provider.read()
        notice = next(one for one in reading.notices if one.id == "FARM-2024:77")
        named = {
            (offer.name, offer.version): tuple(offer.notices) for part, _ in reading.slices for offer in part.offers
        }

        assert notice.classification.lower() == "security"
        assert (notice.severity, notice.title) == ("Critical", "A hole in foo")
        assert (notice.issued, notice.updated) == ("2024-02-03", "2024-02-05")
        assert sorted(notice.cves) == ["CVE-2024-1", "CVE-2024-2"]
        assert notice.bugzillas == ("1234567",)
        assert notice.reboot_suggested is True
        assert named["foo", "1.0-3"] == ("FARM-2024:77",)
        assert named["plain", "1.0-2"] == ()

    def test_a_repository_without_notices_is_read(self, world: Callable[..., RpmNode]):
        """No updateinfo at all is no problem: its offers have no notice."""
        node = world(Made("foo", new=""))
        node.repo.update("foo", "1.0-2")
        assert node.provider.refresh().problems == ()
        reading = node.provider.read()

        assert reading.notices == ()
        assert {offer.version: tuple(offer.notices) for part, _ in reading.slices for offer in part.offers} == {
            "1.0-1": (),
            "1.0-2": (),
        }

    def test_offers_say_when_they_were_built(self, world: Callable[..., RpmNode]):
        """The build time is the date that counts where there is no notice."""
        node = world(Made("foo"))
        times = {offer.build_time for part, _ in node.provider.read().slices for offer in part.offers}

        assert times == {1_704_067_200}

    def test_a_new_kernel_is_installed_beside_the_old_one(self, world: Callable[..., RpmNode]):
        """Install-only packages stand side by side: both are read, the newest counts, a second run does nothing."""
        node = world(*(Made(name, side_by_side=True) for name in KERNELS))
        key = node.key(node.kernel)
        plan = node.plan(node.intent(node.kernel))
        outcome = node.provider.install(plan, lambda line: None)
        rows = [package.version for package in node.provider.read().packages.packages if package.key == key]
        lines: list[str] = []

        assert outcome.failures == {}
        assert node.node.rpms()[key] == ["1.0-1", "1.0-2"]
        assert sorted(rows) == ["1.0-1", "1.0-2"]
        assert node.provider.installed()[key] == "1.0-2"
        assert node.provider.install(plan, lines.append).failures == {}
        assert lines == []
        assert node.node.rpms()[key] == ["1.0-1", "1.0-2"]

    def test_a_restart_is_asked_for_until_it_happened(self, world: Callable[..., RpmNode]):
        """Nothing before the update, a reason after it, nothing after the reboot."""
        node = world(Made("foo"), Made("glibc", restarts=True))
        node.node.wait_past_boot()
        before = node.provider.reboot_reasons()
        assert node.install("foo").failures == {}
        without = node.provider.reboot_reasons()
        assert node.install("glibc").failures == {}
        asked = node.provider.reboot_reasons()
        node.reboot()

        assert before == without == ()
        assert asked
        assert node.provider.reboot_reasons() == ()

    def test_a_script_that_fails_is_found_in_spite_of_the_exit_code(self, world: Callable[..., RpmNode]):
        """dnf 4 ends with 0 there: the database has the new version, and the outcome tells of the script all the same."""
        node = world(Made("foo", fails="configure"))
        outcome = node.install("foo")

        assert list(outcome.failures) == [node.key("foo")]
        assert "script" in outcome.failures[node.key("foo")].lower()
        assert node.node.rpms()[node.key("foo")] == ["1.0-2"]

    def test_a_repository_that_comes_back_is_read_again(self, world: Callable[..., RpmNode]):
        """What was offered before the silence is still known in it; afterwards the news is."""
        node = world(Made("foo"))
        node.silence()
        silent = node.provider.refresh()
        kept = node.view().candidates()[node.key("foo")]
        node.repo.online()
        node.repo.security("foo", "1.0-3")

        assert silent.problems != ()
        assert kept == "1.0-2"
        assert node.provider.refresh().problems == ()
        assert node.view().candidates()[node.key("foo")] == "1.0-3"

    def test_keys_in_the_database_are_no_packages(self, world: Callable[..., RpmNode]):
        """Imported keys stand in rpm's database as gpg-pubkey; they are neither read nor counted."""
        node = world(Made("foo"))
        before = node.provider.read().packages
        node.import_key()

        assert node.provider.read().packages == before
        assert node.versions() == node.provider.installed()

    def test_sources_take_the_place_of_the_repositories_for_one_provider(
        self, world: Callable[..., RpmNode], farm: Farm
    ):
        """Read, resolved and installed with them alone; the node's configuration and its own view stay as they were."""
        node = world(Made("foo"), Made("bar"))
        ours = farm.rpmrepo("ours")
        ours.security("foo", "1.0-5", requires=["extra"])
        ours.update("extra", "1.0-1")
        files = node.configuration()
        own = node.provider
        node.provider = node.with_sources(
            Source("ours", f"[ours]\nname=Ours\nbaseurl={ours.url('ours')}\ngpgcheck=0\n")
        )
        assert node.provider.refresh().problems == ()
        candidates = node.view().candidates()
        outcome = node.install("foo")
        node.provider = own

        assert {name: candidates[node.key(name)] for name in ("foo", "bar")} == {"foo": "1.0-5", "bar": "1.0-1"}
        assert outcome.failures == {}
        assert {name: node.versions()[node.key(name)] for name in ("foo", "bar", "extra")} == {
            "foo": "1.0-5",
            "bar": "1.0-1",
            "extra": "1.0-1",
        }
        assert node.configuration() == files
        assert node.provider.candidates([node.key("bar")]) == {node.key("bar"): "1.0-2"}


class ModularContract(RpmContract):
    """What dnf alone has: module streams."""

    def test_modules_that_are_enabled_are_facts(self, world: Callable[..., RpmNode]):
        """`name:stream`, and the packages of a stream say whose they are."""
        node = world(Made("foo"))
        old = node.repo.update("perl", "4:5.30.1-1", module="perl:5.30:1:deadbeef")
        new = node.repo.update("perl", "4:5.32.1-1", module="perl:5.32:1:deadbeef")
        node.repo.module("perl", "5.30", [old])
        node.repo.module("perl", "5.32", [new])
        none = node.provider.read().modules
        assert node.provider.refresh().problems == ()
        node.run(*MODULE[node.kind], "enable", "perl:5.30")
        node.run(*INSTALL[node.kind], "perl")
        reading = node.provider.read()

        assert none == ()
        assert reading.modules == ("perl:5.30",)
        assert node.versions()["perl.noarch"] == "4:5.30.1-1"
        assert {
            offer.version: offer.module for part, _ in reading.slices for offer in part.offers if offer.name == "perl"
        } == {"4:5.30.1-1": "perl:5.30", "4:5.32.1-1": "perl:5.32"}
        assert node.view().candidates()["perl.noarch"] == "4:5.30.1-1"
