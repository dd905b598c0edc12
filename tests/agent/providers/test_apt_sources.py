# SPDX-License-Identifier: Apache-2.0
"""apt with a baseline's own repositories: what may stand in them, and that the node's own stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest

from contract.apt_root import AptRoot
from contract.provider import Made
from patchwright.agent.clock import Clock
from patchwright.agent.errors import UnusableSource
from patchwright.agent.providers.apt import Apt
from patchwright.agent.providers.apt.sources import by_name
from patchwright.core.source import Source

DEB822 = """\
# ours
Types: deb
URIs: https://user:hush@ours.example/debian
  http://second.example/debian
Suites: stable stable-security
Components: main
Signed-By: /usr/share/keyrings/ours.gpg

Types: deb
URIs: http://third.example/debian
Suites: ./
Enabled: no
"""


def read(configuration: str) -> dict[str, str]:
    """The files of one source."""
    return by_name([Source("ours", configuration)])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("deb http://a.example stable main", "deb http://a.example stable main\n"),
        ("  deb\thttp://a.example   stable  main contrib # ours \r\n", "deb http://a.example stable main contrib\n"),
        ("# ours\n\ndeb-src http://a.example stable main", "deb-src http://a.example stable main\n"),
        (
            "deb [ arch=amd64,i386 signed-by=/k#1.gpg ] https://a.example/x stable/updates main",
            "deb [arch=amd64,i386 signed-by=/k#1.gpg] https://a.example/x stable/updates main\n",
        ),
        ("deb [trusted=yes] file:/srv/mirror ./", "deb [trusted=yes] file:/srv/mirror ./\n"),
        (
            "deb copy:/srv/a x/\ndeb mirror+https://b.example s main",
            "deb copy:/srv/a x/\ndeb mirror+https://b.example s main\n",
        ),
    ],
)
def test_lines_are_kept_as_meant(given, kept):
    """Without comments, one option list, one space between words (sources.list(5))."""
    assert read(given) == {"00.list": kept}


def test_stanzas_are_kept_as_they_are_and_sources_in_their_order():
    """Both forms, each in a file of its own whose name apt reads."""
    found = by_name([Source("b", "deb http://a.example s main"), Source("a", DEB822)])
    assert list(found) == ["00.list", "01.sources"]
    assert found["01.sources"] == DEB822


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ("# nothing\n \n", "names no repository"),
        ("[main]\nname=ours\nbaseurl=http://a.example", "not of the form"),
        ("deb", "not of the form"),
        ("deb http://a.example", "not of the form"),
        ("deb http://a.example stable", "names no component"),
        ("deb http://a.example ./ main", "names components"),
        ("deb http://a.example stable # main", "names no component"),
        ("deb [trusted] http://a.example stable main", "NAME=VALUE"),
        ("deb [trusted=yes http://a.example stable main", "begins with none of"),
        ("rpm http://a.example stable main", "not of the form"),
        ('deb http://a.example stable main\nAPT::Update::Pre-Invoke:: "id";', "not of the form"),
        ("deb http://a.example stable main\0", "characters"),
        ("deb http://a.example stable main\x85#", "characters"),
        ("deb http://a.example stable main\rdeb x", "characters"),
        ("deb ssh://-oProxyCommand=id/ stable main", "begins with none of"),
        ("deb rsh:a stable main", "begins with none of"),
        ("deb cdrom:[x]/ stable main", "begins with none of"),
        ("deb /srv/mirror stable main", "begins with none of"),
        ("deb http://u:hush@a.example stable main\nnonsense http://u:hush@a.example", "nonsense"),
        ("Types: deb\nURIs: http://a.example\n", "lacks the field suites"),
        ("Types: deb\nURIs:\n ssh://-oProxyCommand=id/\nSuites: ./\n", "begins with none of"),
        ("Types: deb\nURIs: http://a.example\nSuites: ./\nnonsense\n", "no field"),
    ],
)
def test_what_apt_could_not_read_or_should_not_is_refused_by_name(configuration, why):
    """The error names the source and what is wrong with it, and no password."""
    with pytest.raises(UnusableSource, match="the source 'ours' of the baseline") as caught:
        read(configuration)
    assert why in str(caught.value)
    assert "hush" not in str(caught.value)


def tree(*paths: Path) -> dict[str, tuple[str, int, int]]:
    """Everything below *paths*, byte by byte: content, mode, and when it was changed."""
    found = {}
    for top in paths:
        for path in sorted([top, *top.rglob("*")]):
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (hashlib.sha256(data).hexdigest(), path.lstat().st_mode, path.lstat().st_mtime_ns)
    return found


def sourced(node: AptRoot, *sources: Source) -> AptRoot:
    """*node*, whose provider uses *sources*."""
    settings = node.provider._settings._replace(sources=sources, sources_directory=Path("/var/lib/agent-sources/1"))
    node.provider = Apt(node.shell, clock=Clock(), settings=settings)
    return node


def of_the_node(node: AptRoot) -> dict[str, tuple[str, int, int]]:
    """All that apt keeps of the node's own repositories."""
    return tree(node.root / "etc/apt", node.root / "var/lib/apt/lists", node.root / "var/cache/apt")


@pytest.mark.farm
def test_everything_is_read_resolved_and_installed_with_them(farm, debrepo, apt_root):
    """Another archive in the place of the node's: its updates, its dependencies; the node's own are not touched."""
    debrepo.release("foo", "1.0-1")
    debrepo.release("bar", "1.0-1")
    node = apt_root("foo", "bar")
    debrepo.security("bar", "1.0-2")
    with contextlib.closing(farm.debrepo()) as other:
        other.security("foo", "1.0-3", depends="libfoo")
        other.security("libfoo", "7")
        key = node.root / "usr/share/keyrings/other.gpg"
        key.write_bytes(other.keyring)
        node.provider.refresh()
        before = of_the_node(node)
        text = other.sources().replace("farm.gpg", "other.gpg")
        sourced(node, *(Source(f"s{at}", line) for at, line in enumerate(text.splitlines())))

        assert node.provider.refresh().problems == ()
        assert node.provider.read().refreshed_at > 0
        view = node.view()
        assert {part.origin.suite for part in view.slices} == {"oldstable", "oldstable-security", "oldstable-updates"}
        candidates = view.candidates()
        assert (candidates["foo.all"], candidates["bar.all"]) == ("1.0-3", "1.0-1")
        assert node.provider.candidates(["foo.all", "libfoo.all"]) == {"foo.all": "1.0-3", "libfoo.all": "7"}
        assert node.install("foo").failures == {}
        assert node.versions()["foo.all"] == "1.0-3"
        assert node.versions()["libfoo.all"] == "7"
        assert of_the_node(node) == before
        assert list(node.root.glob("var/lib/agent-sources/1/archives/*.deb")) == []
        assert other.requests
        asked = len(debrepo.requests)
        assert node.provider.refresh().problems == ()
        assert len(debrepo.requests) == asked


@pytest.mark.farm
def test_a_source_that_cannot_be_reached_or_believed_is_a_problem(farm, debrepo, apt_world):
    """As the node's own would be: named, without its password; the metadata is not said to be fresh."""
    node = apt_world(Made("foo"))
    before = of_the_node(node)
    line = debrepo.sources().splitlines()[0]
    sourced(node, Source("gone", line.replace("http://", "http://u:hush@127.0.0.9:9/")), Source("good", line))
    found = node.provider.refresh()
    (problem,) = found.problems
    assert "127.0.0.9:9" in problem.repository
    assert "hush" not in repr(found)
    assert found.refreshed_at == 0.0

    sourced(node, Source("unsigned", line.replace("farm.gpg", "nowhere.gpg")))
    (problem,) = node.provider.refresh().problems
    assert "NO_PUBKEY" in problem.message
    assert of_the_node(node) == before


@pytest.mark.farm
def test_nobody_else_reads_what_they_say(debrepo, apt_world):
    """The configuration may hold passwords: root's alone; what is left of other words in the directory is gone."""
    node = apt_world(Made("foo"))
    sourced(node, Source("a", debrepo.sources()), Source("b", debrepo.sources()))
    sourced(node, Source("a", debrepo.sources()))
    parts = node.root / "var/lib/agent-sources/1/sources.list.d"
    (path,) = parts.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
