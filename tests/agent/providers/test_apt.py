# SPDX-License-Identifier: Apache-2.0
"""What is apt's own: pins, phasing, architectures, signatures, conffiles, and the wrecks that earlier runs leave."""

from __future__ import annotations

import os

import pytest

from contract.provider import Made, keys
from farm import DebRepo
from patchwright.core.facts import Pin
from patchwright.core.plan import Action, Plan, Wanted

pytestmark = pytest.mark.farm


def quiet(line: str) -> None:
    """A progress that tells nobody."""


def test_a_pin_of_a_repository_is_its_slices_pin(apt_world):
    """A preference for a whole repository changes the slice's priority, and with it the candidate."""
    node = apt_world(Made("foo"))
    node.write("etc/apt/preferences.d/security", "Package: *\nPin: release l=Debian-Security\nPin-Priority: 50\n")
    reading = node.provider.read()

    assert {ref.pin for part, ref in reading.slices if part.origin.is_security} == {50}
    assert node.view().candidates()["foo.all"] == "1.0-1" == node.provider.candidates(["foo.all"])["foo.all"]


def test_a_pin_of_a_package_is_a_pin(apt_world):
    """A preference for one package is reported for its installed name, and the candidate follows."""
    node = apt_world(Made("foo"), Made("bar"))
    node.write(
        "etc/apt/preferences.d/foo",
        "Package: foo\nPin: version 1.0-2\nPin-Priority: -1\n\nPackage: nowhere\nPin: version 1*\nPin-Priority: 7\n",
    )

    assert node.provider.read().pins == (Pin("foo", "1.0-2", -1),)
    assert node.view().candidates()["foo.all"] == "1.0-1" == node.provider.candidates(["foo.all"])["foo.all"]
    assert node.view().candidates()["bar.all"] == "1.0-2"


def test_the_nodes_own_pins_stand_while_resolving(apt_world):
    """Blocking a name does not switch the node's own preferences off."""
    node = apt_world(Made("foo", needs=("libfoo",)), Made("libfoo", old=""), Made("bar"))
    node.write("etc/apt/preferences.d/libfoo", "Package: libfoo\nPin: version *\nPin-Priority: -1\n")
    resolution = node.provider.resolve(node.intent("foo", "bar", blocked=["something"]))

    assert sorted(keys(resolution)) == ["bar.all"]
    assert "libfoo" in resolution.unresolved["foo.all"]
    assert list((node.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(("setting", "candidate"), [("Never", "1.0-1"), ("Always", "1.0-2")])
def test_a_phased_update_is_a_candidate_only_where_apt_takes_it(debrepo: DebRepo, apt_root, setting, candidate):
    """An update in phases is left out where apt's own upgrade leaves it out; other packages are not affected."""
    debrepo.release("foo", "1.0-1")
    debrepo.release("bar", "1.0-1")
    debrepo.updates("foo", "1.0-2", fields={"Phased-Update-Percentage": "10"})
    debrepo.updates("bar", "1.0-2")
    node = apt_root("foo", "bar")
    node.write("etc/apt/apt.conf.d/90phased", f'APT::Get::{setting}-Include-Phased-Updates "true";\n')

    assert node.view().candidates()["foo.all"] == candidate
    assert node.view().candidates()["bar.all"] == "1.0-2"


def test_architectures_are_kept_apart(debrepo: DebRepo, apt_root):
    """One name in two architectures is two packages with their own candidates; both are resolved and installed."""
    node = apt_root()
    native = node.run("dpkg", "--print-architecture").stdout.strip()
    foreign = "arm64" if native != "arm64" else "amd64"
    for version, suite in (("1.0-1", debrepo.release), ("1.0-2", debrepo.security)):
        for arch in (native, foreign):
            suite("libfoo", version, arch=arch, fields={"Multi-Arch": "same"}, files={f"/usr/lib/{arch}/libfoo": arch})
    # The archive keeps one index; apt looks for one of each architecture, and records tell their own.
    node.run("dpkg", "--add-architecture", foreign)
    source = (node.root / "etc/apt/sources.list").read_text().replace("[", f"[arch={native} ")
    node.write("etc/apt/sources.list", source)
    node.provider.refresh()
    node.run("apt-get", "install", "-y", "--no-install-recommends", f"libfoo:{native}=1.0-1", f"libfoo:{foreign}=1.0-1")
    wanted = tuple(Wanted("libfoo", arch, "1.0-1", "1.0-2") for arch in sorted((native, foreign)))
    intent = node.intent().__class__(wanted)
    plan = node.plan(intent)

    assert node.provider.candidates([item.key for item in wanted]) == {item.key: "1.0-2" for item in wanted}
    assert [(action.key, action.before, action.after) for action in plan.actions] == [
        (item.key, "1.0-1", "1.0-2") for item in wanted
    ]
    assert node.provider.install(plan, quiet).failures == {}
    assert {item.key: node.versions()[item.key] for item in wanted} == {item.key: "1.0-2" for item in wanted}


def test_a_bad_signature_is_a_problem_of_that_repository(apt_world):
    """A repository signed by a stranger is named, though apt-get update ends with 0; the old lists stay in use."""
    node = apt_world(Made("foo"))
    stranger = DebRepo(node.repo._lan)
    try:
        node.write("usr/share/keyrings/other.gpg", "")
        (node.root / "usr/share/keyrings/other.gpg").write_bytes(stranger.keyring)
    finally:
        stranger.close()
    lines = (node.root / "etc/apt/sources.list").read_text().splitlines()
    changed = [line.replace("farm.gpg", "other.gpg") if "-security" in line else line for line in lines]
    node.write("etc/apt/sources.list", "\n".join(changed) + "\n")
    node.repo.security("foo", "1.0-3")
    problems = node.provider.refresh().problems

    assert [problem.repository.rpartition(" ")[2] for problem in problems] == ["bookworm-security"]
    assert "signature" in problems[0].message


def test_a_repository_without_the_suite_is_a_problem(apt_world):
    """A suite that does not exist is named; the others are refreshed."""
    node = apt_world(Made("foo"))
    text = (node.root / "etc/apt/sources.list").read_text()
    node.write("etc/apt/sources.list", text + text.splitlines()[0].replace("bookworm", "nosuch") + "\n")
    node.repo.security("foo", "1.0-3")
    problems = node.provider.refresh().problems

    assert [problem.repository.rpartition(" ")[2] for problem in problems] == ["nosuch"]
    assert node.view().candidates()["foo.all"] == "1.0-3"


def test_an_index_that_lost_its_content_is_fetched_anew(apt_world):
    """apt-get update keeps the empty file while its archive has nothing new; the updates it names would not be missing."""
    node = apt_world(Made("foo"))
    assert node.provider.refresh().problems == ()
    emptied = list((node.root / "var/lib/apt/lists").glob("*security*_Packages"))
    for file in emptied:
        file.write_bytes(b"")

    assert node.provider.refresh().problems == ()
    assert emptied
    assert node.view().candidates()[node.key("foo")] == "1.0-2"


def test_sources_that_cannot_be_read_are_a_problem(apt_world):
    """A broken sources.list raises nothing from refresh; the problem quotes apt."""
    node = apt_world(Made("foo"))
    node.write("etc/apt/sources.list.d/broken.list", "deb what is this\n")
    problems = node.provider.refresh().problems

    assert [problem.repository for problem in problems] == [""]
    assert "broken.list" in problems[0].message


def test_passwords_of_repositories_do_not_leave_the_node(apt_world):
    """An address with credentials is reported without them."""
    node = apt_world(Made("foo"))
    text = (node.root / "etc/apt/sources.list").read_text()
    node.write("etc/apt/sources.list", text.replace("http://", "http://me:secret@127.0.0.9:9/x"))

    assert "secret" not in repr(node.provider.refresh())


def test_a_changed_conffile_stays(debrepo: DebRepo, apt_root):
    """A conffile that was changed on the node keeps its content, and nobody is asked."""
    debrepo.release("foo", "1.0-1", conffiles={"/etc/foo.conf": "old\n"})
    debrepo.security("foo", "1.0-2", conffiles={"/etc/foo.conf": "new\n"})
    node = apt_root("foo")
    node.write("etc/foo.conf", "mine\n")

    assert node.install("foo").failures == {}
    assert node.states()["foo.all"] == ("1.0-2", "installed")
    assert (node.root / "etc/foo.conf").read_text() == "mine\n"


def test_a_script_that_reads_gets_nothing(debrepo: DebRepo, apt_root):
    """A maintainer script that waits for an answer sees the end of its input instead of waiting for ever."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-2", postinst="read answer || exit 0; exit 1")
    node = apt_root("foo")

    assert node.install("foo").failures == {}


def test_a_broken_stranger_keeps_nobody_out(debrepo: DebRepo, apt_root):
    """A package that failed long ago and fails again is not the plan's business; the plan is installed."""
    debrepo.release("foo", "1.0-1")
    debrepo.release("wreck", "1.0-1", postinst="exit 3")
    debrepo.security("foo", "1.0-2")
    node = apt_root("foo")
    node.run("apt-get", "install", "-y", "wreck", ok=(100,))

    assert node.states()["wreck.all"] == ("1.0-1", "half-configured")
    assert node.install("foo").failures == {}
    assert node.versions()["foo.all"] == "1.0-2"


def test_a_wreck_is_repaired_by_its_update(debrepo: DebRepo, apt_root):
    """A package that cannot be configured in its old version is not given up: the plan's version repairs it."""
    debrepo.release("wreck", "1.0-1", postinst="exit 3")
    node = apt_root()
    node.run("apt-get", "install", "-y", "wreck", ok=(100,))
    debrepo.security("wreck", "1.0-2")
    node.provider.refresh()

    assert node.install("wreck").failures == {}
    assert node.states()["wreck.all"] == ("1.0-2", "installed")


def test_what_needs_a_failed_package_says_so(debrepo: DebRepo, apt_root):
    """A package whose new dependency fails to configure is unpacked and waits; its reason names the dependency."""
    for name in ("app", "libapp", "other"):
        debrepo.release(name, "1.0-1")
    debrepo.security("libapp", "1.0-2", postinst="exit 1")
    debrepo.security("app", "1.0-2", depends="libapp (>= 1.0-2)")
    debrepo.security("other", "1.0-2")
    node = apt_root("app", "libapp", "other")
    failures = node.install("app", "libapp", "other").failures

    assert sorted(failures) == ["app.all", "libapp.all"]
    assert "libapp" in failures["app.all"]
    assert "post-installation script subprocess returned error exit status 1" in failures["libapp.all"]
    assert node.versions()["other.all"] == "1.0-2"


def test_an_archive_that_cannot_be_fetched_keeps_nobody_out(apt_world):
    """A .deb that is gone from the pool fails its package, with the address; the others are installed."""
    node = apt_world(Made("foo"), Made("bar"))
    plan = node.plan(node.intent("foo", "bar"))
    path = next(path for path in node.repo._tree if path.endswith("foo_1.0-2_all.deb"))
    del node.repo._tree[path]
    failures = node.provider.install(plan, quiet).failures

    assert list(failures) == ["foo.all"]
    assert "foo_1.0-2_all.deb" in failures["foo.all"]
    assert "404" in failures["foo.all"]
    assert node.versions()["bar.all"] == "1.0-2"


def test_broken_dependencies_are_mended_on_the_way(debrepo: DebRepo, apt_root):
    """Where an installed package lacks a dependency, apt refuses everything until it may mend that; then it does."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-2")
    debrepo.release("lacking", "1.0-1", depends="libneeded")
    debrepo.release("libneeded", "1.0-1")
    node = apt_root("foo")
    node.run("apt-get", "-y", "--download-only", "install", "lacking")
    node.run("dpkg", "--unpack", "/var/cache/apt/archives/lacking_1.0-1_all.deb")
    intent = node.intent("foo")
    plan = node.plan(intent)

    assert plan.unresolved == ()
    assert {action.key for action in plan.actions} == {"foo.all", "libneeded.all"}
    assert node.provider.install(plan, quiet).failures == {}
    assert node.states()["lacking.all"] == ("1.0-1", "installed")


def test_a_package_that_breaks_another_is_not_bought_with_its_removal(debrepo: DebRepo, apt_root):
    """Where apt would remove a package to bring in a wanted one, that one is unresolved and names the victim."""
    debrepo.release("foo", "1.0-1")
    debrepo.release("victim", "1.0-1")
    debrepo.release("other", "1.0-1")
    debrepo.security("foo", "1.0-2", fields={"Conflicts": "victim"})
    debrepo.security("other", "1.0-2")
    node = apt_root("foo", "victim", "other")
    resolution = node.provider.resolve(node.intent("foo", "other"))

    assert sorted(keys(resolution)) == ["other.all"]
    assert resolution.unresolved["foo.all"] == "it would remove victim"


def test_an_interrupted_dpkg_is_read_and_finished(apt_world):
    """Changes that a killed dpkg had not merged into its status file count, and the next installation merges them."""
    node = apt_world(Made("foo"), Made("bar"))
    status = (node.root / "var/lib/dpkg/status").read_text()
    stanza = next(part for part in status.split("\n\n") if part.startswith("Package: foo\n"))
    node.break_off("foo")
    now = (node.root / "var/lib/dpkg/status").read_text()
    unpacked = next(part for part in now.split("\n\n") if part.startswith("Package: foo\n"))
    node.write("var/lib/dpkg/status", now.replace(unpacked, stanza))
    node.write("var/lib/dpkg/updates/0000", unpacked + "\n")

    assert node.states()["foo.all"] == ("1.0-2", "unpacked")
    assert node.install("bar").failures == {}
    assert node.states()["foo.all"] == ("1.0-2", "installed")
    assert node.states()["bar.all"] == ("1.0-2", "installed")


def test_a_half_installed_package_is_unpacked_again(apt_world):
    """A package that dpkg wants reinstalled before anything else comes back through a plan that names its version."""
    node = apt_world(Made("foo"))
    node.install("foo")
    status = (node.root / "var/lib/dpkg/status").read_text()
    stanza = next(part for part in status.split("\n\n") if part.startswith("Package: foo\n"))
    broken = stanza.replace("install ok installed", "install reinstreq half-installed")
    node.write("var/lib/dpkg/status", status.replace(stanza, broken))
    plan = node.plan(node.intent().__class__((Wanted("foo", "all", "1.0-2", "1.0-2"),)))

    assert node.states()["foo.all"] == ("1.0-2", "half-installed")
    assert node.provider.install(plan, quiet).failures == {}
    assert node.states()["foo.all"] == ("1.0-2", "installed")


def test_who_asked_for_a_package_is_not_forgotten(debrepo: DebRepo, apt_root):
    """Dependencies stay marked as automatic though the plan names them; what a person asked for stays so too."""
    debrepo.release("app", "1.0-1", depends="libapp")
    debrepo.release("libapp", "1.0-1")
    debrepo.security("app", "1.0-2", depends="libapp, libnew")
    debrepo.security("libapp", "1.0-2")
    debrepo.security("libnew", "1.0-2")
    node = apt_root("app")
    outcome = node.install("app", "libapp")

    assert outcome.failures == {}
    assert set(node.run("apt-mark", "showauto").stdout.split()) & {"app", "libapp", "libnew"} == {"libapp", "libnew"}


def test_names_that_are_no_names_reach_no_command(apt_world):
    """An intent with an option, a pattern or a preference in place of a name resolves to a reason, and runs nothing."""
    node = apt_world(Made("foo"))
    bad = ("-oAPT::Get::Assume-No=1", "~nfoo", "foo*", "foo\nPin: x", "foo/stable")
    blocked = node.intent("foo", blocked=bad)
    plan = Plan(node.provider.manager, "s", tuple(Action(name, "all", "", "1", wanted=True) for name in bad))

    assert sorted(keys(node.provider.resolve(blocked))) == ["foo.all"]
    assert sorted(node.provider.install(plan, quiet).failures) == sorted(f"{name}.all" for name in bad)
    assert node.provider.candidates([f"{name}.all" for name in bad]) == {}


def test_the_output_tells_what_happened(apt_world):
    """The outcome carries the end of what apt wrote."""
    node = apt_world(Made("foo"))

    assert "Setting up foo (1.0-2)" in node.install("foo").output


def test_a_request_for_a_restart_is_a_reason(apt_world):
    """/run/reboot-required names the packages that ask; without the file there is no reason."""
    node = apt_world(Made("foo"))
    before = node.provider.reboot_reasons()
    node.write("run/reboot-required", "*** System restart required ***\n")
    node.write("run/reboot-required.pkgs", "linux-base\nlibc6\nlibc6\n")

    assert before == ()
    assert node.provider.reboot_reasons() == ("libc6 asks for a restart", "linux-base asks for a restart")


def test_a_newer_kernel_of_the_same_flavour_is_a_reason(apt_world):
    """A kernel newer than the running one asks for a restart; one of another flavour, or an older one, does not."""
    node = apt_world(Made("foo"))
    running = os.uname().release
    flavour = running[running.index("-") :]
    for release in ("0.1" + flavour, "999.0-1-otherflavour"):
        node.write(f"boot/vmlinuz-{release}", "")
    before = node.provider.reboot_reasons()
    node.write(f"boot/vmlinuz-999.0{flavour}", "")

    assert before == ()
    assert node.provider.reboot_reasons() == (f"kernel 999.0{flavour} is installed, {running} is running",)
