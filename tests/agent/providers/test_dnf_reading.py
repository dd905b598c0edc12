# SPDX-License-Identifier: Apache-2.0
"""Reading what dnf, rpm and repositories say, without a node: recorded output, and files written here."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
from pathlib import Path

import pytest

from patchwright.agent.clock import Clock
from patchwright.agent.errors import MetadataUnreadable, UnsupportedSystem
from patchwright.agent.providers import detect
from patchwright.agent.providers.dnf import configuration, restart, transcript
from patchwright.agent.providers.dnf.closure import blocked_by, read_answer
from patchwright.agent.providers.dnf.locks import DnfLocks
from patchwright.agent.providers.dnf.tool import find_engine
from patchwright.agent.providers.resolver import Request
from patchwright.agent.providers.rpm import compression, database, modules, repodata
from patchwright.agent.providers.rpm.database import Row
from patchwright.agent.shell import Result
from patchwright.core.package import Manager
from patchwright.core.source import Source

RECORDED = Path(__file__).resolve().parents[2] / "recorded"
both = pytest.mark.parametrize("label", ["dnf-4", "dnf-5"])
NOARCH = [Request(name, "noarch", version) for name, version in (("fine", "1.0-2"), ("epochal", "2:1.0-2"))]


def recorded(label: str, case: str) -> Result:
    """What a real one printed."""
    parts = [(RECORDED / f"{label}.{case}.{part}").read_text() for part in ("code", "stdout", "stderr")]
    return Result((label,), int(parts[0]), parts[1], parts[2])


def rows(label: str) -> dict[str, list[Row]]:
    """The recorded database by `name.arch`."""
    return database.by_key(database.parse(recorded(label, "rpm.list").stdout))


# --- what rpm and dnf print --------------------------------------------------------------------------------------------------


@both
def test_the_database_is_read_with_epochs_and_without_keys(label: str):
    """An epoch shows only where it is not 0; keys are no packages; nonsense is refused."""
    found = {key: several[-1].version for key, several in rows(label).items()}

    assert found["epochal.noarch"] == "2:1.0-1"
    assert found["fine.noarch"] == "1.0-1"
    assert database.parse("gpg-pubkey\t(none)\t0\t1-2\t5\n") == ()
    with pytest.raises(MetadataUnreadable, match="rpm says"):
        database.parse("error: cannot open Packages index\n")


@both
def test_repositories_are_listed_by_id(label: str):
    """Ids with long names; what dnf's own plugin keeps is no repository of the node."""
    result = recorded(label, "repositories.plain")
    read = transcript.enabled5 if label == "dnf-5" else transcript.enabled4

    assert read(result.stdout) == {"base": "Farm base", "updates": "Farm updates"}
    assert transcript.enabled5('[{"id": "_dnf_local_nogpgcheck"}]') == {}
    assert transcript.enabled4("repo id  repo name\n_dnf_local   Local\n") == {}
    assert transcript.enabled5("{") == {}


@both
def test_a_transaction_is_read_with_what_comes_beside_and_along(label: str):
    """A kernel beside the old one, upgrades with epochs, a new dependency; what is replaced is the same package."""
    told = transcript.transaction(recorded(label, "simulate.fine").stdout)

    assert {(item.name, item.version) for item in told.coming} == {
        ("epochal", "2:1.0-2"),
        ("fine", "1.0-2"),
        ("kernel-core", "5.14.0-2"),
        ("new", "1.0-2"),
    }
    assert (told.going, told.others) == ((), ())
    answer = read_answer(recorded(label, "simulate.fine"), NOARCH, rows(label))
    assert answer.refusal == ""
    assert {item.key: item.before for item in answer.closure if item.name != "kernel-core"} == {
        "epochal.noarch": "2:1.0-1",
        "fine.noarch": "1.0-1",
        "new.noarch": "",
    }


@both
def test_what_cannot_be_met_is_blamed_with_dnfs_reason(label: str):
    """The one whose dependency nobody provides is named, not the others."""
    needy = Request("needy", "noarch", "1.0-2")
    answer = read_answer(recorded(label, "simulate.unmet"), [*NOARCH, needy], rows(label))

    assert list(answer.reasons) == ["needy.noarch"]
    assert "nothing provides nowhere needed by needy-1.0-2.noarch" in answer.reasons["needy.noarch"]


@both
def test_what_nobody_offers_is_blamed(label: str):
    """A version without a match is refused, also by dnf 4, which goes on without it."""
    nowhere = Request("nowhere", "noarch", "1-1")
    answer = read_answer(recorded(label, "simulate.unknown"), [*NOARCH, nowhere], rows(label))

    assert answer.reasons == {"nowhere.noarch": "the repositories do not have 1-1"}


@both
def test_what_is_left_out_is_known_by_name(label: str):
    """The packages that an exclusion hides stand in the problem."""
    result = recorded(label, "simulate.blocked")

    assert transcript.filtered(result.stdout + result.stderr) == {"new-1.0-2.noarch"}


@both
def test_nothing_to_do_is_a_refusal(label: str):
    """What dnf has no update for is not resolved."""
    request = Request("victim", "noarch", "1.0-1")

    assert "nothing newer" in read_answer(recorded(label, "simulate.nothing"), [request], rows(label)).refusal


@both
def test_what_obsoletes_another_package_would_remove_it(label: str):
    """The replaced package has another name: that is a removal."""
    request = Request("usurper", "noarch", "1.0-2")
    answer = read_answer(recorded(label, "simulate.obsoletes"), [request], rows(label))

    assert "removing victim" in answer.refusal


def test_a_kernel_may_push_out_the_oldest_and_nothing_else_may_go():
    """Side by side the node's own limit holds; a package that is there once must stay."""
    text = (
        "Installing:\n kernel-core  x86_64  3-1  updates  6 k\nRemoving:\n kernel-core  x86_64  1-1  @System  6 k\n"
        "Removing dependent packages:\n fine  noarch  1.0-1  @System  6 k\n\nTransaction Summary\n"
    )
    kernels = [Row("kernel-core", "x86_64", version, 1) for version in ("1-1", "2-1")]
    there = {"kernel-core.x86_64": kernels, "fine.noarch": [Row("fine", "noarch", "1.0-1", 1)]}
    answer = read_answer(Result((), 1, text, ""), [Request("kernel-core", "x86_64", "3-1")], there)

    assert answer.refusal == "it would remove fine"


@both
def test_scripts_that_fail_are_found_by_package(label: str):
    """dnf 4 goes on after a %post that fails: the text alone tells of it."""
    result = recorded(label, "install.scripts")
    failures = transcript.scriptlet_failures(result.stdout)

    assert failures == {
        "post-1.0-2.noarch": "its script %post failed: exit status 1",
        "pre-1.0-2.noarch": "its script %prein failed: exit status 2",
    }


@both
def test_what_cannot_be_fetched_is_found_by_package(label: str):
    """The package whose file is gone, and no other."""
    result = recorded(label, "install.gone")
    failures = transcript.package_failures(result.stdout)

    assert list(failures) == ["gone-1.0-2.noarch"]
    assert failures["gone-1.0-2.noarch"].startswith("cannot be fetched: ")


@both
def test_a_lock_that_is_lost_is_noticed(label: str):
    """dnf 4 passes on rpm's words; dnf 5 only fails before anything begins."""
    text = recorded(label, "install.locked")
    holder = transcript.lock_holder(text.stdout + text.stderr)

    assert holder is None if label == "dnf-5" else holder.path == "/var/lib/rpm/.rpm.lock"
    assert transcript.failed_as_a_whole(text.stdout + text.stderr) is (label == "dnf-5")
    assert transcript.lock_holder(recorded(label, "install.scripts").stdout) is None
    assert not transcript.failed_as_a_whole(recorded(label, "install.scripts").stdout)


@both
def test_a_silent_repository_is_a_problem_without_its_password(label: str):
    """By its id, with the reason; a good refresh has none."""
    names = {"Farm base": "base", "Farm updates": "updates"}
    silent, fine = recorded(label, "refresh.silent"), recorded(label, "refresh.fine")
    problems = transcript.repository_problems(silent.stdout, silent.stderr, silent.code, names)

    assert [problem.repository for problem in problems] == ["updates"]
    assert "connect to server" in problems[0].message
    assert "secret" not in problems[0].message
    assert transcript.repository_problems(fine.stdout, fine.stderr, fine.code, names) == ()


@both
def test_a_damaged_repository_file_is_a_problem(label: str):
    """dnf 4 passes over it, dnf 5 stops: both are told with the file's name."""
    result = recorded(label, "refresh.malformed")
    problems = transcript.repository_problems(result.stdout, result.stderr, result.code, {})

    assert [problem.repository for problem in problems] == ["/etc/yum.repos.d/broken.repo"]


# --- repository metadata -----------------------------------------------------------------------------------------------------

PRIMARY = b"""<?xml version="1.0"?><metadata packages="3">
<package type="rpm"><name>foo</name><arch>x86_64</arch><version epoch="1" ver="2.0~rc1" rel="3.el9"/>
<time file="5" build="1704067200"/></package>
<package type="rpm"><name>foo</name><arch>src</arch><version epoch="1" ver="2.0" rel="3"/><time build="1"/></package>
<package type="rpm"><name>a&amp;b</name><arch>noarch</arch><version rel='1' ver='1' epoch='0'/></package></metadata>"""

UPDATE = """<update type="{type}" from="x"><id>{id}</id><title>  A
 title </title>{dates}<severity>{severity}</severity>
<references><reference type="cve" id="CVE-2024-2"/><reference type="cve" id="cve-2024-1"/><reference type="bugzilla" id="7"/>
<reference type="self" id="x"/></references><pkglist><collection>{module}
<package name="foo" epoch="1" version="2.0" release="3.el9" arch="x86_64"><reboot_suggested>True</reboot_suggested></package>
<package name="other" epoch="0" version="1" release="1" arch="noarch"/></collection></pkglist></update>"""
FOO = ("foo", "x86_64", "1:2.0-3.el9")


def update(**parts: str) -> bytes:
    """An update element."""
    filled = {"type": "security", "id": "A-1", "dates": "", "severity": "Low", "module": "", **parts}
    return b"<updates>" + UPDATE.format(**filled).encode() + b"</updates>"


def test_packages_are_read_whatever_the_pieces():
    """Cut anywhere, with attributes in any order; source packages and other names are left out."""
    whole = list(repodata.packages([PRIMARY], None))

    assert whole == [
        repodata.Available("foo", "x86_64", "1:2.0~rc1-3.el9", 1_704_067_200),
        repodata.Available("a&b", "noarch", "1-1", 0),
    ]
    for size in (1, 7, 64):
        cut = [PRIMARY[at : at + size] for at in range(0, len(PRIMARY), size)]
        assert list(repodata.packages(cut, {b"foo"})) == whole[:1]


def test_a_notice_is_read_with_all_that_it_says():
    """Kind, severity, days, ids in order, a wish for a restart; only the packages asked for."""
    dates = '<issued date="2024-02-03 23:59:59"/><updated date="2024-02-05"/>'
    (found,) = repodata.advisories([update(dates=dates, severity="Moderate")], {FOO})
    notice = found.notice

    assert (notice.id, notice.classification, notice.severity, notice.title) == (
        "A-1",
        "security",
        "Moderate",
        "A title",
    )
    assert (notice.issued, notice.updated) == ("2024-02-03", "2024-02-05")
    assert (notice.cves, notice.bugzillas) == (("CVE-2024-1", "CVE-2024-2"), ("7",))
    assert notice.reboot_suggested is True
    assert [item[:3] for item in found.packages] == [FOO]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-01 10:00:00", "2024-02-01"),
        ("2024-02-01T23:59:59Z", "2024-02-01"),
        ("2024-02-01", "2024-02-01"),
        ("1706745600", "2024-02-01"),
        ("2024-13-01", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_days_are_read_as_vendors_write_them(text: str, day: str):
    """Whatever is no day is none."""
    assert repodata.day(text) == day


def test_a_notice_that_cannot_be_read_is_none():
    """Damaged XML, an id with a comma: the package then has no notice."""
    damaged = update().replace(b"</title>", b"</titel>")

    assert list(repodata.advisories([damaged, update(id="A,1"), update(id="")], {FOO})) == []
    assert list(repodata.advisories([update()], {("foo", "x86_64", "1:2.0-4.el9")})) == []


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_metadata_is_read_however_it_is_compressed(tmp_path: Path, suffix: str):
    """All that createrepo_c writes, several members in one file too; what ends in the middle is an error."""
    content = PRIMARY * 3000
    path = tmp_path / f"primary.xml{suffix}"
    if suffix == ".zst":
        path.write_bytes(content)
        try:
            subprocess.run(["zstd", "-q", str(path), "-o", str(tmp_path / "p.zst")], check=True)
        except FileNotFoundError:
            pytest.skip("no zstd to make a file with")
        path = tmp_path / "p.zst"
    else:
        pack = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
        half = len(content) // 2
        path.write_bytes(pack(content[:half]) + pack(content[half:]))

    assert b"".join(compression.pieces(path)) == content
    with pytest.raises(MetadataUnreadable, match="longer than"):
        list(compression.pieces(path, limit=1000))
    if suffix:
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(MetadataUnreadable, match="cannot be read"):
            list(compression.pieces(path))


def test_metadata_files_are_found_beside_their_list(tmp_path: Path):
    """By type, by their last name only; nothing fetched is nothing, a damaged list an error."""
    assert repodata.files(tmp_path) == {}
    (tmp_path / "repomd.xml").write_text(
        '<repomd><data type="primary"><location href="../../etc/x-primary.xml.gz"/></data></repomd>'
    )
    assert repodata.files(tmp_path) == {"primary": tmp_path / "x-primary.xml.gz"}
    (tmp_path / "repomd.xml").write_text("<html>")
    with pytest.raises(MetadataUnreadable, match="names no metadata"):
        repodata.files(tmp_path)


MODULES = """---
document: modulemd
version: 2
data:
  name: perl
  stream: "5.26"
  version: 8
  artifacts:
    rpms:
    - perl-4:5.26.3-1.module_el8+1.noarch
    - perl-4:5.26.3-1.module_el8+1.src
  buildopts:
    rpms:
      - not-1-1.noarch
...
---
{"document": "modulemd", "data": {"name": "perl", "stream": "5.32", "artifacts": {"rpms": ["perl-4:5.32.1-1.noarch"]}}}
...
---
document: modulemd-defaults
version: 1
data:
  module: perl
  stream: "5.26"
...
---
document: modulemd-obsoletes
data:
  module: perl
"""
OLD, NEW, PLAIN = (("perl", "noarch", version) for version in ("4:5.26.3-1.module_el8+1", "4:5.32.1-1", "4:5.16-1"))


@pytest.mark.parametrize(
    ("enabled", "disabled", "active"),
    [({}, set(), ("perl:5.26",)), ({"perl": "5.32"}, set(), ("perl:5.32",)), ({}, {"perl"}, ())],
)
def test_one_stream_of_a_module_is_in_effect(enabled: dict[str, str], disabled: set[str], active: tuple[str, ...]):
    """The enabled one, else the default, none where the module is disabled; it hides what belongs to no module."""
    found = modules.active([modules.parse(MODULES)], modules.Chosen(enabled, disabled), {"perl"})

    assert found.modules == active
    assert (found.owner(OLD), found.owner(NEW), found.owner(PLAIN)) == ("perl:5.26", "perl:5.32", "")
    assert found.hides(PLAIN) is bool(active)
    assert not found.hides(OLD)


# --- dnf's own files ---------------------------------------------------------------------------------------------------------


def put(root: Path, path: str, text: str) -> Path:
    """Write a file below *root*."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    return root / path


def test_version_locks_are_read_in_every_form(tmp_path: Path):
    """dnf 4's list and dnf 5's file; a bound or an exclusion of one version locks nothing."""
    put(
        tmp_path,
        "etc/dnf/plugins/versionlock.list",
        "# x\nfoo-0:1.0-1.el9.*\nlib*\n!bar-0:1.0-2.*\nplain\nv-1.0-1.x86_64\n",
    )
    put(tmp_path, "etc/dnf/versionlock.toml", (RECORDED / "dnf-5.locks").read_text().replace('"locked"', '"five"', 1))
    names = {"foo", "foobar", "libx", "bar", "plain", "v", "five"}

    assert configuration.locked(tmp_path, names) == {"foo", "libx", "plain", "v", "five"}
    put(tmp_path, "etc/dnf/plugins/versionlock.list", (RECORDED / "dnf-4.locks").read_text())
    put(
        tmp_path,
        "etc/dnf/versionlock.toml",
        '[[packages]]\nname = "bar"\n[[packages.conditions]]\nkey = "evr"\ncomparator = "<"\n',
    )
    assert configuration.locked(tmp_path, {"locked", "bar"}) == {"locked"}


def test_modules_are_chosen_in_both_dnfs_files(tmp_path: Path):
    """dnf 4 keeps one file a module, dnf 5 one for all."""
    put(tmp_path, "etc/dnf/modules.d/perl.module", "[perl]\nname=perl\nstream=5.26\nprofiles=\nstate=enabled\n")
    put(tmp_path, "etc/dnf/modules.d/php.module", "[php]\nname=php\nstream=\nstate=disabled\n")
    put(tmp_path, "usr/lib/sysimage/libdnf5/modules.toml", '[modules.node]\nenabled_stream = "18"\nstate = "Enabled"\n')

    assert configuration.chosen_modules(tmp_path) == modules.Chosen({"perl": "5.26", "node": "18"}, {"php"})


def test_priorities_and_hotfixes_are_read(tmp_path: Path):
    """A lower priority of dnf is a higher one of ours; an override wins; nonsense is passed over."""
    put(tmp_path, "a/x.repo", "[one]\npriority=10\n[two]\nmodule_hotfixes=1\n[three]\npriority=high\n")
    put(tmp_path, "a/y.repo", "not a repository\n")
    put(tmp_path, "b/99.repo", "[two]\npriority=50\n")

    assert configuration.repositories([tmp_path / "a", tmp_path / "b", tmp_path / "none"]) == {
        "one": configuration.Repository(589, False),
        "two": configuration.Repository(549, True),
        "three": configuration.Repository(500, False),
    }


def test_sources_become_repositories_of_their_own():
    """`[main]` is called as its source; only what looks like an option is taken over."""
    text = (
        "[main]\nname=Mine\nbaseurl=https://u:p@x/\nenabled=1\nBad Key=1\n[[evil]\n[second one]\nbaseurl=https://y/\n"
    )
    (content,) = configuration.source_files([Source("mine", text)]).values()

    assert content.startswith("[mine]\nname=Mine\nbaseurl=https://u:p@x/\nenabled=1\n")
    assert "[second-one]\nbaseurl=https://y/\nname=mine\n" in content
    assert configuration.source_files([Source("mine", "no section")]) == {}


@pytest.mark.parametrize(
    ("files", "links", "engine"),
    [
        (("dnf-3",), {"dnf": "dnf-3"}, ("dnf", False)),
        (("dnf5",), {"dnf": "dnf5"}, ("dnf", True)),
        (("dnf5",), {}, ("dnf5", True)),
        (("dnf-3",), {"yum": "dnf-3"}, ("dnf-3", False)),
        (("dnf",), {}, ("dnf", False)),
    ],
)
def test_the_engine_is_known_by_its_file(tmp_path: Path, files: tuple[str, ...], links: dict[str, str], engine: object):
    """What `dnf` leads to decides; dnf 5 may be there beside it."""
    for name in files:
        put(tmp_path, f"usr/bin/{name}", "")
    for name, target in links.items():
        (tmp_path / "usr/bin" / name).symlink_to(target)

    assert tuple(find_engine(tmp_path)) == engine


def test_yum_3_is_another_engine(tmp_path: Path):
    """A yum that is no link to dnf cannot be driven, and is named."""
    put(tmp_path, "usr/bin/yum", "#!/usr/bin/python2\n")
    with pytest.raises(UnsupportedSystem, match="yum 3"):
        find_engine(tmp_path)


def test_os_release_decides_which_package_manager_it_is(tmp_path: Path):
    """Another's tools may be installed; a system that nobody knows is judged by what it has."""
    for path in ("usr/bin/apt-get", "var/lib/dpkg/status", "usr/bin/dnf5", "usr/bin/zypper"):
        put(tmp_path, path, "")
    found = {}
    for system in ("debian", "rocky", "sles", "kali"):
        put(tmp_path, "etc/os-release", f"ID={system}\nVERSION_ID=9\n")
        found[system] = detect(tmp_path)

    assert found == {"debian": Manager.APT, "rocky": Manager.DNF, "sles": Manager.ZYPPER, "kali": Manager.APT}
    (tmp_path / "usr/bin/zypper").unlink()
    put(tmp_path, "etc/os-release", "ID=sles\nVERSION_ID=15.5\n")
    assert detect(tmp_path) is None


# --- locks, restarts, lists --------------------------------------------------------------------------------------------------


def test_who_stands_in_a_pid_file_holds_the_lock_while_it_is_dnf(tmp_path: Path):
    """A number whose process is something else by now holds nothing."""
    pid_file = put(tmp_path, "cache/rpmdb_lock.pid", "4711")
    command = put(tmp_path, "proc/4711/cmdline", "/usr/bin/python3\0/usr/bin/dnf\0upgrade\0")
    locks = DnfLocks((), [pid_file], clock=Clock(), seconds=0, proc=tmp_path / "proc")
    holder = locks.holder()
    command.write_text("sleep\0")

    assert holder is not None
    assert (holder.pid, holder.command) == (4711, "/usr/bin/python3 /usr/bin/dnf upgrade")
    assert locks.holder() is None


KERNEL = Row("kernel-core", "x86_64", "5.14.0-2.el9", 50)
RUNNING = Row("kernel-core", "x86_64", "5.14.0-1.el9", 50)


def test_restarts_are_asked_for_with_their_reason(tmp_path: Path):
    """A newer kernel, a core package and a notice's wish since the boot; what is older than the boot asks for nothing."""
    since = [Row("glibc", "x86_64", "2-2", 150), Row("foo", "noarch", "1-2", 150), Row("systemd", "x86_64", "1-1", 50)]

    def suggested(identities: set[tuple[str, str, str]]) -> list[tuple[tuple[str, str, str], str]]:
        assert identities == {("foo", "noarch", "1-2")}
        return [(("foo", "noarch", "1-2"), "A-1")]

    def ask(*there: Row) -> tuple[str, ...]:
        return restart.reasons(
            tmp_path, running="5.14.0-1.el9.x86_64", booted_at=100.5, rows=there, suggested=suggested
        )

    assert ask(RUNNING, KERNEL, *since) == (
        "A-1 asks for a restart after installing foo 1-2",
        "glibc 2-2 was installed since the system started",
        "kernel 5.14.0-2.el9 is installed, 5.14.0-1.el9.x86_64 is running",
    )
    assert ask(RUNNING, since[2]) == ()
    put(tmp_path, "run/systemd/container", "")
    assert ask(RUNNING, KERNEL) == ()


def test_a_rejected_list_names_exact_packages():
    """A full name with one wildcard; a bare name names nothing on rpm."""
    available = {("foo", "noarch", "1:1.0-2"), ("foobar", "noarch", "1.0-2")}

    assert blocked_by(["foo-1.0-2.noarch"], available) == {("foo", "noarch", "1:1.0-2")}
    assert blocked_by(["foo*"], available) == available
    assert blocked_by(["foo"], available) == set()
