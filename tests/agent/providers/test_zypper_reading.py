# SPDX-License-Identifier: Apache-2.0
"""Reading what libzypp keeps: its configuration, its repositories, their lists; and its lock."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.agent.clock import Clock
from patchwright.agent.errors import LockHeld, UnusableSource
from patchwright.agent.providers import Settings
from patchwright.agent.providers.zypper import Zypper, configuration, metadata, restart, sources
from patchwright.agent.providers.zypper.locks import ZyppLocks
from patchwright.agent.providers.zypper.tool import Tool, is_name, is_version
from patchwright.agent.shell import Shell
from patchwright.core.advisory import NOTICE_LIMIT_BYTES, Fixed
from patchwright.core.package import Offer
from patchwright.core.source import Source

PRIMARY = """<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" packages="3">
<package type="rpm">
  <name>foo</name>
  <arch>noarch</arch>
  <version epoch="0" ver="1.0~rc1" rel="150500.2"/>
  <checksum type="sha256" pkgid="YES">00</checksum>
  <summary>&lt;package &amp; more</summary>
  <time file="1700000001" build="1700000000"/>
  <format><rpm:provides><rpm:entry name="foo" flags="EQ" epoch="0" ver="1.0" rel="2"/></rpm:provides></format>
</package>
<package type="rpm"><name>foo</name><arch>src</arch><version epoch="0" ver="1.0" rel="2"/><time file="1" build="1"/></package>
<package type="rpm"><name>bar</name><arch>x86_64</arch><version epoch="3" ver="2" rel="1"/><time file="1" build="x"/></package>
<package type="rpm"><name>foobar</name><arch>noarch</arch><version epoch="0" ver="9" rel="9"/><time file="1" build="1"/></package>
</metadata>
"""
UPDATE = """<update from="maint-coord@suse.de" status="stable" type="{type}" version="{version}">
<id>{id}</id><title>Security update for foo &amp; bar</title><severity>{severity}</severity>
<release>SLE 15 SP5</release><issued date="{issued}"/>{updated}
<references>
<reference href="https://bugzilla/1" id="1215427" title="bug" type="bugzilla"/>
<reference href="https://cve/1" id="CVE-2023-4863" title="CVE" type="cve"/>
<reference href="https://self" id="{id}" title="x" type="self"/>
</references><description>long text</description>
<pkglist><collection short="SLE"><name>SLE</name>
<package name="foo" epoch="0" version="1.0" release="2" arch="noarch" src="foo.src.rpm"><filename>foo.rpm</filename>{flag}</package>
<package name="bar" epoch="3" version="2" release="1" arch="x86_64"><filename>bar.rpm</filename></package>
<package name="bar" epoch="3" version="2" release="1" arch="s390x"><filename>bar.rpm</filename></package>
<package name="foo" epoch="0" version="1.0" release="2" arch="src"><filename>foo.src.rpm</filename></package>
</collection></pkglist></update>
"""


def updateinfo(*updates: str) -> bytes:
    """A list of patches."""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n' + "".join(updates) + "</updates>\n").encode()


def update(id: str = "SUSE-SLE-2023-1", **fields: str) -> str:  # noqa: A002 - the element's name
    """One patch."""
    given = {
        "type": "security", "version": "1", "severity": "important", "issued": "1695889162", "updated": "", "flag": "",
        **fields,
    }  # fmt: skip
    return UPDATE.format(id=id, **given)


def pieces(content: bytes, size: int) -> list[bytes]:
    """*content* in chunks of *size* bytes."""
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_offers_are_those_of_installed_names_and_architectures(size):
    """However the list is cut: sources and other architectures are none, a build time that is no number is not known."""
    installed = {b"foo": {b"noarch"}, b"bar": {b"x86_64", b"i586"}}

    assert list(metadata.offers(pieces(PRIMARY.encode(), size), installed)) == [
        Offer("foo", "noarch", "1.0~rc1-150500.2", build_time=1_700_000_000),
        Offer("bar", "x86_64", "3:2-1"),
    ]


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_a_patch_is_read_whole(size):
    """Words of the vendor, UTC days, references, every binary package of every architecture, flags."""
    text = updateinfo(
        update(updated='<updated date="2023-10-01 23:59:59"/>', flag="<reboot_suggested>True</reboot_suggested>")
    )
    (found,) = metadata.patches(pieces(text, size), {b"bar"})

    assert found.notice.id == "SUSE-SLE-2023-1"
    assert (found.notice.classification, found.notice.severity) == ("Security", "Important")
    assert found.notice.title == "Security update for foo & bar"
    assert (found.notice.issued, found.notice.updated) == ("2023-09-28", "2023-10-01")
    assert (found.notice.cves, found.notice.bugzillas) == (("CVE-2023-4863",), ("1215427",))
    assert found.notice.reboot_suggested
    assert not found.restarts_manager
    assert found.notice.packages == (
        Fixed("bar", "s390x", "3:2-1"),
        Fixed("bar", "x86_64", "3:2-1"),
        Fixed("foo", "noarch", "1.0-2"),
    )


def test_only_patches_of_installed_names_are_read():
    """A patch none of whose packages is there is not applicable, and does not leave the node."""
    assert list(metadata.patches([updateinfo(update())], {b"fo", b"foobar", b"baz"})) == []


@pytest.mark.parametrize(
    ("issued", "day"),
    [
        ("1695945599", "2023-09-28"),
        ("1695945600", "2023-09-29"),
        ("2023-09-28", "2023-09-28"),
        ("2023-09-28T10:00:00Z", "2023-09-28"),
        ("2023-02-30", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_days_are_utc_days(issued, day):
    """Seconds or a date; what is neither is not known."""
    (found,) = metadata.patches([updateinfo(update(issued=issued))], {b"foo"})

    assert found.notice.issued == day


@pytest.mark.parametrize(("flag", "says"), [("True", True), ("1", True), ("", True), ("False", False), ("0", False)])
def test_a_patch_says_whether_the_package_manager_starts_anew(flag, says):
    """The flag stands with a package of the patch."""
    text = updateinfo(update(flag=f"<restart_suggested>{flag}</restart_suggested>"))

    assert [found.restarts_manager for found in metadata.patches([text], {b"foo"})] == [says]


def test_a_patch_that_cannot_be_read_hides_no_other():
    """Neither broken XML nor a name that is none."""
    broken = update("SUSE-2").replace("</pkglist>", "")
    text = updateinfo(update("SUSE-1"), broken, update("a,b"), update(""), update("SUSE-3"))

    assert [found.notice.id for found in metadata.patches([text], {b"foo"})] == ["SUSE-1", "SUSE-3"]


def test_a_patch_of_very_many_packages_stays_short_enough_to_be_sent():
    """Of ten thousand packages those stay that the node has; the notice is within its limit."""
    row = '<package name="texlive-{}" epoch="0" version="1" release="1" arch="noarch"/>'
    rows = "".join(row.format("x" * 60 + str(number)) for number in range(10_000)) + row.format("bin")
    text = updateinfo(update().replace("<package ", rows + "<package ", 1))
    (found,) = metadata.patches([text], {b"texlive-bin", b"foo"})

    assert {package.name for package in found.notice.packages} == {"texlive-bin", "foo"}
    assert len(found.notice.canonical()) < NOTICE_LIMIT_BYTES


def test_an_entity_is_not_followed():
    """A list may declare what it wants: elements are read without its declarations."""
    declared = b'<!DOCTYPE updates [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    text = declared + updateinfo(update().replace("for foo", "for &b;"), update("SUSE-2"))

    assert [found.notice.id for found in metadata.patches([text], {b"foo"})] == ["SUSE-2"]


def test_the_highest_edition_of_a_patch_counts():
    """In rpm's order; equal editions of two repositories become one with the packages of both."""
    both = update("S-1", version="9"), update("S-1", version="10", severity="low")
    other = update("S-2").replace('name="foo"', 'name="baz"')
    found = metadata.newest(metadata.patches([updateinfo(*both, update("S-2"), other)], {b"foo", b"baz"}))

    assert found["S-1"].notice.severity == "Low"
    assert {package.name for package in found["S-2"].notice.packages} == {"foo", "bar", "baz"}


def test_where_the_lists_are_is_read_from_the_index():
    """By kind; what leads out of the repository's own directory is none of its lists."""
    data = '<data type="{}"><checksum type="sha256">0</checksum><location href="{}"/></data>'
    index = "<repomd>{}</repomd>".format(
        "".join(
            data.format(*pair)
            for pair in (
                ("primary", "repodata/1-primary.xml.gz"),
                ("updateinfo", "../../etc/shadow"),
                ("other", "/etc/x"),
            )
        )
    )

    assert metadata.locations(index) == {"primary": "repodata/1-primary.xml.gz"}


@given(st.binary(max_size=400))
def test_no_content_breaks_the_readers(content):
    """A repository is not ours."""
    list(metadata.offers([content], {b"foo": {b"noarch"}}))
    list(metadata.patches([content], {b"foo"}))
    list(metadata.patches([b"<update ", content, b"<package name='foo'", content, b"</update>"], {b"foo"}))


def test_repositories_are_read_with_priority_and_without_secrets(tmp_path):
    """Several in one file, several addresses, one that is off, one without a word about it."""
    (tmp_path / "a.repo").write_text(
        "[b]\nname=Basis\nenabled=1\npriority=20\nbaseurl=https://me:word@repo.example/b?credentials=x\n  https://two\n"
        "[off]\nenabled=0\nbaseurl=http://x\n[c/d]\nbaseurl=dir:/srv\n"
    )
    (tmp_path / "b.repo.bak").write_text("[no]\nbaseurl=x\n")

    assert configuration.repositories(tmp_path) == [
        configuration.Repository("b", True, 20, "https://repo.example/b", "Basis"),
        configuration.Repository("c/d", True, 99, "dir:/srv", "c/d"),
        configuration.Repository("off", False, 99, "http://x", "off"),
    ]
    assert configuration.repositories(tmp_path)[1].directory == "c_d"
    assert configuration.repositories(tmp_path / "nowhere") == []


def test_the_configuration_says_where_files_are(tmp_path):
    """zypp.conf moves directories; what a later file says counts."""
    drop = tmp_path / "etc/zypp/zypp.conf.d"
    drop.mkdir(parents=True)
    (tmp_path / "etc/zypp/zypp.conf").write_text("# x\n[main]\ncachedir = /srv/cache\nlocksfile.path = /etc/other\n")
    (drop / "a.conf").write_text("[main]\ncachedir=/srv/kept\n")
    layout = Tool(Shell(), Settings(root=tmp_path)).layout

    assert layout.raw == tmp_path / "srv/kept/raw"
    assert layout.locks == tmp_path / "etc/other"
    assert layout.repositories == tmp_path / "etc/zypp/repos.d"
    assert Tool(Shell(), Settings(root=tmp_path / "nothing")).layout.raw == tmp_path / "nothing/var/cache/zypp/raw"


def test_sources_are_written_beside_the_nodes_own_repositories(tmp_path):
    """One file a source, readable by root alone; a source that is gone leaves no file; secrets stay out of addresses."""
    directory = tmp_path / "operation"
    own = Source("mine", "[own]\nbaseurl=http://me:word@x/own\nenabled=1")
    tool = Tool(
        Shell(),
        Settings(root=tmp_path, sources=(own, Source("second one", "baseurl=http://y")), sources_directory=directory),
    )
    inside = tmp_path / str(directory).lstrip("/")

    assert [(one.alias, one.address) for one in tool.repositories()] == [
        ("own", "http://x/own"),
        ("second_one", "http://y"),
    ]
    assert {path.stat().st_mode & 0o777 for path in (inside / "repos.d").iterdir()} == {0o600}
    again = Tool(Shell(), Settings(root=tmp_path, sources=(own,), sources_directory=directory))
    assert [one.alias for one in again.repositories()] == ["own"]
    assert not (tmp_path / "etc/zypp/repos.d").exists()


def test_a_main_block_gets_the_name_of_its_source():
    """The examples of the API write `[main]`, which two sources would share; every address is kept on a line of its own."""
    texts = sources.by_name(
        [Source("tools 1", "[main]\nbaseurl=http://z\n  http://y\n"), Source("tools 1", "baseurl=http://z")]
    )

    assert [text.splitlines()[0] for text in texts.values()] == ["[tools_1]", "[tools_1_]"]
    assert "baseurl = http://z\n  http://y\n" in texts["00.repo"]


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "[a]\nenabled=1", "[a]\nbaseurl=plugin:sh?x=1", "[a]\nbaseurl=http://x\n  plugin:sh", "[a]\nbaseurl=/srv",
     "[a]\nbaseurl=http://x\ngpgkey=plugin:x", "[a]\nbaseurl=http://x\nservice=other", "[a]\nbaseurl=http://x\x0bname=y"],
)  # fmt: skip
def test_a_source_that_is_none_is_refused_by_name(tmp_path, text):
    """Neither without an address nor with one that starts a program; nothing is written."""
    with pytest.raises(UnusableSource, match="'mine'"):
        Tool(Shell(), Settings(root=tmp_path, sources=(Source("mine", text),)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "fine"), [("foo", True), ("libstdc++6", True), ("-foo", False), ("!foo", False), ("a b", False), ("f*", False), ("", False)])  # fmt: skip
def test_names_that_zypper_would_take_for_something_else_are_refused(text, fine):
    """An option, a removal, a pattern."""
    assert is_name(text) is fine
    assert is_version("2:1.0~rc1-1")
    assert not is_version("1.0-1 ")
    assert not is_version("-1")


def test_a_process_that_runs_holds_the_lock_and_one_that_is_gone_does_not(tmp_path):
    """The file names it; a zombie has ended; an empty file is a lock that nobody has."""
    (tmp_path / "run").mkdir()
    file, proc = tmp_path / "run/zypp.pid", tmp_path / "proc"
    for pid, state in ((1, "S"), (4000, "S"), (4001, "Z")):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "stat").write_text(f"{pid} (zypper (x)) {state} 1")
        (proc / str(pid) / "cmdline").write_bytes(b"zypper\0patch\0")
    answers = {}
    for text in ("", "4000", "4001\n", "4002", "nonsense", str(os.getpid())):
        file.write_text(text)
        holder = ZyppLocks(tmp_path, clock=Clock(), seconds=0).holder()
        answers[text] = (holder.pid, holder.command) if holder else None

    assert answers.pop("4000") == (4000, "zypper patch")
    assert set(answers.values()) == {None}


def test_waiting_for_the_lock_ends_with_its_holder(tmp_path):
    """Nothing is started meanwhile, and the message names process and program."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/zypp.pid").write_text(str(os.getppid()))
    provider = Zypper(Shell(prefix=["false"]), clock=Clock(), settings=Settings(root=tmp_path, lock_wait_seconds=0.02))

    with pytest.raises(LockHeld) as caught:
        provider.refresh()
    assert caught.value.pid == os.getppid()


def test_a_restart_is_asked_for_by_the_mark_and_by_newer_kernels(tmp_path):
    """Of the running flavour only, by image or by modules; in a container the kernel is somebody else's."""
    for release in ("5.14.21-150500.55.62-default", "5.14.21-150500.55.100-rt"):
        (tmp_path / "boot").mkdir(exist_ok=True)
        (tmp_path / f"boot/vmlinuz-{release}").touch()
    running = "5.14.21-150500.55.52-default"

    assert restart.reasons(tmp_path, running) == (
        f"kernel 5.14.21-150500.55.62-default is installed, {running} is running",
    )
    assert restart.reasons(tmp_path, "5.14.21-150500.55.62-default") == ()
    modules = tmp_path / "usr/lib/modules/5.14.21-150500.55.100-default"
    modules.mkdir(parents=True)
    (modules / "vmlinuz").touch()
    assert "55.100-default" in restart.reasons(tmp_path, running)[0]
    (tmp_path / "run/systemd").mkdir(parents=True)
    (tmp_path / "run/systemd/container").touch()
    assert restart.reasons(tmp_path, running) == ()
    (tmp_path / "run/reboot-needed").touch()
    assert restart.reasons(tmp_path, running) == ("core libraries or services were updated",)
