# SPDX-License-Identifier: Apache-2.0
"""The metadata of rpm repositories: packages, update notices, module streams, and the index of it all."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from .rpmfile import Relation, Rpm, split_evr

FLAGS = {"<": "LT", ">": "GT", "=": "EQ", "<=": "LE", ">=": "GE"}
PRIMARY = re.compile(r"/etc/|.*bin/|/usr/lib/sendmail\Z")  # the files that the first list names, as createrepo_c has it
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
REFERENCES = {
    "cve": "https://cve.invalid/{}",
    "bugzilla": "https://bugzilla.invalid/show_bug.cgi?id={}",
    "self": "https://errata.invalid/{}",
}


@dataclass(frozen=True)
class Advisory:
    """
    An update notice (erratum; on SUSE it becomes a patch).

    Args:
        id: `RHSA-2024:0001`; on SUSE `SUSE-SLE-Module-2024-1`.
        type: `security`, `bugfix`, `enhancement`, `newpackage`; on SUSE also `recommended`, `optional`, `feature`.
        severity: The vendor's word; empty: the notice has none.
        issued, updated: `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, UTC; empty: the notice has none.
        packages: The new packages it brings.
        module: `name:stream:version:context` where the packages are a module's.
        reboot, restart, relogin: What it suggests after it: of the machine, of the package manager itself, of sessions.
    """

    id: str
    packages: Sequence[Rpm]
    type: str = "security"
    severity: str = "Important"
    title: str = ""
    issued: str = "2024-02-01 00:00:00"
    updated: str = ""
    cves: Sequence[str] = ()
    bugzillas: Sequence[str] = ()
    module: str = ""
    reboot: bool = False
    restart: bool = False
    relogin: bool = False
    status: str = "final"


@dataclass(frozen=True)
class Module:
    """A stream of a module, with the packages that are its own."""

    name: str
    stream: str
    packages: Sequence[Rpm]
    version: int = 1
    context: str = "deadbeef"
    is_default: bool = False

    @property
    def label(self) -> str:
        """`name:stream:version:context`."""
        return f"{self.name}:{self.stream}:{self.version}:{self.context}"


def repodata(
    packages: Iterable[Rpm], advisories: Sequence[Advisory], modules: Sequence[Module], *, revision: int
) -> Mapping[str, bytes]:
    """
    The files below `repodata/`, by name. Packages lie in `Packages/`.

    A repository without notices has no updateinfo at all, one without modules no modules.yaml: as in life.
    """
    rpms = sorted(packages, key=lambda rpm: rpm.filename)
    parts = {
        "primary.xml": _metadata("common", rpms, _primary),
        "filelists.xml": _metadata("filelists", rpms, _filelist),
        "other.xml": _metadata("other", rpms, _other),
    }
    if advisories:
        notices = "".join(map(_update, advisories))
        parts["updateinfo.xml"] = f"{HEAD}<updates>\n{notices}</updates>\n"
    if modules:
        parts["modules.yaml"] = "".join(map(_stream, modules)) + "".join(_defaults(m) for m in modules if m.is_default)
    files, index = {}, ""
    for name, text in parts.items():
        plain = text.encode()
        packed = gzip.compress(plain, 1, mtime=0)
        digest = hashlib.sha256(packed).hexdigest()
        files[f"{digest}-{name}.gz"] = packed
        index += (
            f'<data type="{name.partition(".")[0]}"><checksum type="sha256">{digest}</checksum>'
            f'<open-checksum type="sha256">{hashlib.sha256(plain).hexdigest()}</open-checksum>'
            f'<location href="repodata/{digest}-{name}.gz"/><timestamp>{revision}</timestamp>'
            f"<size>{len(packed)}</size><open-size>{len(plain)}</open-size></data>\n"
        )
    space = 'xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
    files["repomd.xml"] = f"{HEAD}<repomd {space}>\n<revision>{revision}</revision>\n{index}</repomd>\n".encode()
    return files


def _metadata(kind: str, rpms: Sequence[Rpm], entry) -> str:  # type: ignore[no-untyped-def]
    tag = {"common": "metadata", "filelists": "filelists", "other": "otherdata"}[kind]
    space = f'xmlns="http://linux.duke.edu/metadata/{kind}" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
    return f'{HEAD}<{tag} {space} packages="{len(rpms)}">\n' + "".join(map(entry, rpms)) + f"</{tag}>\n"


def _version(rpm: Rpm) -> str:
    return f'<version epoch="{rpm.epoch}" ver={quoteattr(rpm.version)} rel={quoteattr(rpm.release)}/>'


def _relation(relation: Relation, *, pre: bool) -> str:
    text = f"<rpm:entry name={quoteattr(relation.name)}"
    if relation.sense:
        has_release = "-" in relation.version
        epoch, version, release = split_evr(relation.version if has_release else relation.version + "-")
        text += f' flags="{FLAGS[relation.sense]}" epoch="{epoch}" ver={quoteattr(version)}'
        text += f" rel={quoteattr(release)}" if has_release else ""
    return text + (' pre="1"/>' if pre else "/>")


def _primary(rpm: Rpm) -> str:
    relations = ""
    for kind in ("provides", "requires", "conflicts", "obsoletes"):
        rows: Sequence[Relation] = getattr(rpm, kind)
        if rows:
            entries = "".join(_relation(row, pre=kind == "requires" and row.name == "/bin/sh") for row in rows)
            relations += f"<rpm:{kind}>{entries}</rpm:{kind}>\n"
    files = "".join(f"<file>{escape(path)}</file>" for path in rpm.files if PRIMARY.match(path))
    start, end = rpm.header_range
    return f"""<package type="rpm"><name>{escape(rpm.name)}</name><arch>{rpm.arch}</arch>{_version(rpm)}
<checksum type="sha256" pkgid="YES">{rpm.sha256}</checksum>
<summary>made-up package {escape(rpm.name)}</summary><description>It exists in a test farm only.</description>
<packager/><url/><time file="{rpm.built}" build="{rpm.built}"/>
<size package="{len(rpm.content)}" installed="{rpm.size}" archive="{rpm.size}"/>
<location href={quoteattr(f"Packages/{rpm.filename}")}/>
<format><rpm:license>Apache-2.0</rpm:license><rpm:vendor>Test Farm</rpm:vendor><rpm:group>Unspecified</rpm:group>
<rpm:buildhost>farm.invalid</rpm:buildhost>
<rpm:sourcerpm>{escape(f"{rpm.name}-{rpm.version}-{rpm.release}")}.src.rpm</rpm:sourcerpm>
<rpm:header-range start="{start}" end="{end}"/>
{relations}{files}</format></package>
"""


def _filelist(rpm: Rpm) -> str:
    files = "".join(f"<file>{escape(path)}</file>" for path in rpm.files)
    return _other(rpm).replace("</package>", f"{files}</package>")


def _other(rpm: Rpm) -> str:
    return f'<package pkgid="{rpm.sha256}" name={quoteattr(rpm.name)} arch="{rpm.arch}">{_version(rpm)}</package>\n'


# ------------------------------------------------------------------------------------------------------------ notices


def _update(advisory: Advisory) -> str:
    dates = "".join(
        f'<{tag} date="{date}"/>' for tag, date in (("issued", advisory.issued), ("updated", advisory.updated)) if date
    )
    severity = f"<severity>{escape(advisory.severity)}</severity>" if advisory.severity else ""
    found = [
        ("self", advisory.id),
        *(("cve", cve) for cve in advisory.cves),
        *(("bugzilla", bug) for bug in advisory.bugzillas),
    ]
    references = "".join(
        f'<reference href={quoteattr(REFERENCES[kind].format(name))} id={quoteattr(name)} title={quoteattr(name)} type="{kind}"/>'
        for kind, name in found
    )
    hints = "".join(
        f"<{word}_suggested>True</{word}_suggested>"
        for word, is_suggested in (
            ("reboot", advisory.reboot),
            ("restart", advisory.restart),
            ("relogin", advisory.relogin),
        )
        if is_suggested
    )
    title = escape(advisory.title or f"{advisory.id}: an update of made-up packages")
    return f"""<update from="farm@invalid" status="{advisory.status}" type="{advisory.type}" version="1">
<id>{escape(advisory.id)}</id><title>{title}</title><release>farm</release>{dates}{severity}
<summary>{title}</summary><description>{title}</description>
<references>{references}</references>
<pkglist><collection short="farm"><name>farm</name>{_module(advisory.module)}
{"".join(_listed(rpm, hints) for rpm in advisory.packages)}</collection></pkglist></update>
"""


def _module(label: str) -> str:
    if not label:
        return ""
    name, stream, version, context = label.split(":")
    return (
        f"<module name={quoteattr(name)} stream={quoteattr(stream)} version={quoteattr(version)}"
        f' context={quoteattr(context)} arch="x86_64"/>'
    )


def _listed(rpm: Rpm, hints: str) -> str:
    return (
        f"<package name={quoteattr(rpm.name)} version={quoteattr(rpm.version)} release={quoteattr(rpm.release)}"
        f' epoch="{rpm.epoch}" arch="{rpm.arch}" src="{escape(rpm.name)}.src.rpm"><filename>{escape(rpm.filename)}</filename>'
        f'<sum type="sha256">{rpm.sha256}</sum>{hints}</package>\n'
    )


# ------------------------------------------------------------------------------------------------------------ modules


def _stream(module: Module) -> str:
    """A module's document; every JSON text is YAML."""
    rpms = [f"{rpm.name}-{rpm.epoch}:{rpm.version}-{rpm.release}.{rpm.arch}" for rpm in module.packages]
    data = {
        "name": module.name,
        "stream": module.stream,
        "version": module.version,
        "context": module.context,
        "arch": "x86_64",
        "summary": f"made-up module {module.name}",
        "description": "It exists in a test farm only.",
        "license": {"module": ["Apache-2.0"]},
        "profiles": {"common": {"rpms": sorted({rpm.name for rpm in module.packages})}},
        "artifacts": {"rpms": sorted(rpms)},
    }
    return _document("modulemd", 2, data)


def _defaults(module: Module) -> str:
    data = {"module": module.name, "stream": module.stream, "profiles": {module.stream: ["common"]}}
    return _document("modulemd-defaults", 1, data)


def _document(kind: str, version: int, data: Mapping[str, object]) -> str:
    return f"---\n{json.dumps({'document': kind, 'version': version, 'data': data}, indent=1)}\n...\n"
