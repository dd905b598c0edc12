# SPDX-License-Identifier: Apache-2.0
"""
A second reading of spec §2.2 to §2.8 and §3.1, as plain as it can be, to hold core against.

Nothing of core is called but the comparison of two versions (which recorded answers of dpkg and rpm prove) and the
records themselves. Days are texts, tomorrow is found by trying every following day, apt's choice is made as apt's own
loop makes it. Speed does not matter here; that each sentence of the specification has its line does.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

from patchwright.core.baseline import Baseline
from patchwright.core.compliance import History, Judgement
from patchwright.core.facts import View
from patchwright.core.patch import Patch
from patchwright.core.plan import Intent, Resolution
from patchwright.core.version import Scheme, compare

HORIZON = 400  # days that are tried one by one

LEVELS = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNSPECIFIED"]
Answer = tuple[str, str, str]  # verdict, level, and the day of the next change or ""
Row = tuple[str, str, str, str, str]  # key, state, installed version, version spoken of, level

# ----------------------------------------------------------------------------------------------------- what a patch is


def kind(system: str) -> str:
    """Which of §2.5's sections applies."""
    if system == "SUSE":
        return "suse"
    return "apt" if system in ("DEBIAN", "UBUNTU", "RASPBIAN") else "rpm"


def spell(version: str) -> tuple[str, str, str]:
    """Epoch, version, release."""
    epoch = version.split(":", maxsplit=1)[0] if ":" in version else "0"
    rest = version.split(":", 1)[1] if ":" in version else version
    if "-" not in rest:
        return epoch, rest, ""
    pieces = rest.split("-")
    return epoch, "-".join(pieces[:-1]), pieces[-1]


def full_names(name: str, arch: str, version: str) -> list[str]:
    """§2.6: name-version-release.arch and name-epoch:version-release.arch."""
    rest = version.split(":", 1)[1] if ":" in version else version
    return [f"{name}-{rest}.{arch}", f"{name}-{spell(version)[0]}:{rest}.{arch}"]


def on_list(entry: str, family: str, name: str, arch: str, version: str) -> bool:
    """§2.6: whether an entry names a package version."""
    if family == "apt":
        return entry == name
    forms = full_names(name, arch, version)
    if family == "suse":
        forms = [forms[0] + ".rpm"]
    return any(expands(entry, text) for text in forms)


def expands(entry: str, text: str) -> bool:
    """§2.6: one wildcard, the whole string."""
    pattern = ".*".join(re.escape(piece) for piece in entry.split("*"))
    return entry.count("*") <= 1 and re.fullmatch(pattern, text) is not None


def lists_patch(entry: str, family: str, patch: Patch) -> bool:
    """§2.6: an entry of either list; on SLES the patch's name, or the rpm file of a package that the node has."""
    if family != "suse":
        return on_list(entry, family, patch.name, patch.arch, patch.version)
    return expands(entry, patch.name) or any(on_list(entry, "suse", *row) for row in patch.packages)


def secure(origin: object) -> bool:
    """§2.5: Ubuntu's <codename>-security; Debian's label, or <codename>-security from 11 on."""
    if origin.label == "Debian-Security":
        return True
    if origin.origin not in {"Debian", "Ubuntu", "Raspbian"}:
        return False
    return re.search("-security$", origin.suite) is not None or re.search("-security$", origin.codename) is not None


def patches_slowly(view: View) -> list[Patch]:
    """§2.5: every offered version once, with what all the repositories that offer it say of it."""
    family = view.facts.operating_system.family
    if kind(view.facts.operating_system.value) == "suse":
        return suse_patches(view)
    places: dict[tuple[str, str, str], list] = {}
    for part in view.slices:
        for offer in part.offers:
            if offer.module != "" and offer.module not in list(view.facts.modules):
                continue  # §2.5: a stream that is not enabled
            places.setdefault((offer.name, offer.arch, offer.version), []).append((part.origin, offer))
    found = []
    for name, arch, version in sorted(places):
        rows = places[name, arch, version]
        safe = [row for row in rows if kind(view.facts.operating_system.value) == "apt" and secure(row[0])]
        rows = sorted(safe) + sorted(row for row in rows if row not in safe)
        ids = {one for _, offer in rows for one in offer.notices}
        patch = Patch(
            family,
            name,
            arch,
            version,
            product=view.facts.product,
            security=len(safe) > 0,
            section=([offer.section for _, offer in rows if offer.section] + [""])[0],
            priority=([offer.priority for _, offer in rows if offer.priority] + [""])[0],
            repositories=tuple(sorted({origin.codename or origin.suite or origin.label for origin, _ in rows})),
            build_time=max(offer.build_time for _, offer in rows),
            notices=tuple(view.notices[one] for one in sorted(ids) if one in view.notices),
            advised=kind(view.facts.operating_system.value) != "rpm" or len(view.notices) > 0,
        )
        found.append(patch)
    return found


def suse_patches(view: View) -> list[Patch]:
    """§2.5: on SLES the unit is the patch."""
    keys = {f"{package.name}.{package.arch}" for package in view.packages.packages}
    found = []
    for name in sorted(view.notices):
        rows = [row for row in view.notices[name].packages if f"{row[0]}.{row[1]}" in keys]
        places = {
            part.origin.codename or part.origin.suite or part.origin.label
            for part in view.slices
            if any(name in offer.notices for offer in part.offers)
        }
        if view.notices[name].packages:
            found.append(
                Patch(
                    view.facts.operating_system.family,
                    name,
                    "",
                    "",
                    product=view.facts.product,
                    repositories=tuple(sorted(places)),
                    notices=(view.notices[name],),
                    packages=tuple(rows),
                )
            )
    return found


def sees_security(patch: Patch, family: str) -> bool:
    """§2.5: the implicit test that EnableNonSecurity switches off."""
    if family == "apt":
        return patch.security
    return len(patch.notices) > 0


def attributes(patch: Patch, notice: object, family: str) -> dict[str, list[str]]:
    """What each filter key looks at, for a patch seen through one of its notices (None: it has none)."""
    epoch, upstream, release = spell(patch.version)
    table = {
        "ARCH": [patch.arch],
        "NAME": [patch.name],
        "PRIORITY": [patch.priority],
        "PRODUCT": [patch.product],
        "SECTION": [patch.section],
        "REPOSITORY": list(patch.repositories),
        "EPOCH": [epoch],
        "VERSION": [patch.version, upstream],
        "RELEASE": [release],
        "SECURITY": ["true"] if sees_security(patch, family) else ["false"],
    }
    if family == "apt":
        table["CLASSIFICATION"] = ["security"] if patch.security else [""]
    if notice is not None:
        table["CLASSIFICATION"] = [notice.classification]
        table["SEVERITY"] = [notice.severity] if notice.severity else ["None"]
        table["ADVISORY_ID"] = [notice.id]
        table["CVE_ID"] = list(notice.cves)
        table["BUGZILLA_ID"] = list(notice.bugzillas)
    return table


def plain(key: str, text: str) -> str:
    """§2.1: case makes no difference, and Medium equals Moderate."""
    text = text.strip().lower()
    if key == "PRODUCT" and text.startswith(("suse", "amazonlinux2.")) and text.endswith(".0"):
        return text[:-2]
    return "medium" if key == "SEVERITY" and text == "moderate" else text


def passes(filters: Iterable, patch: Patch, notice: object, family: str) -> bool:
    """§2.1: values are ORed, filters ANDed, `*` is any."""
    table = attributes(patch, notice, family)
    for one in filters:
        matched = False
        for value in one.values:
            if value == "*":
                matched = True
            for found in table.get(one.key, []):
                if plain(one.key, found) == plain(one.key, value):
                    matched = True
        if not matched:
            return False
    return True


def dated(patch: Patch, notice: object) -> str:
    """§2.4: the notice's updated day, else its issued day, else the day the package was built, else nothing."""
    if notice is not None and notice.updated:
        return notice.updated
    if notice is not None and notice.issued:
        return notice.issued
    if patch.build_time:
        return time.strftime("%Y-%m-%d", time.gmtime(patch.build_time))
    return ""


# ------------------------------------------------------------------------------------------------------------- decide


def conditions(baseline: Baseline, patch: Patch, family: str) -> list[tuple[str, Callable[[str], bool]]]:
    """Steps 1 to 3 of §2.2 without the calendar: who may approve, with what level, on which days (a test of a day)."""
    found: list[tuple[str, Callable[[str], bool]]] = []
    views = list(patch.notices) if patch.notices else [None]
    # §2.5: no updateinfo at all: RHEL, Rocky (Alma): nothing is applied.
    nothing = not patch.advised and baseline.operating_system.value in {
        "REDHAT_ENTERPRISE_LINUX",
        "ROCKY_LINUX",
        "ALMA_LINUX",
    }
    if not nothing and any(passes(baseline.global_filters, patch, notice, family) for notice in views):
        for rule in baseline.rules:
            if not rule.enable_non_security and not sees_security(patch, family):
                continue
            matching = [notice for notice in views if passes(rule.filters, patch, notice, family)]
            found += [(rule.level.value, when(rule, dated(patch, notice), family)) for notice in matching]
    named = any(lists_patch(entry, family, patch) or names_notice(entry, patch, family) for entry in baseline.approved)
    if named and (baseline.approved_non_security or sees_security(patch, family)):
        found.append((baseline.approved_level.value, lambda _: True))
    return found


def names_notice(entry: str, patch: Patch, family: str) -> bool:
    """§2.6: digits only are a Bugzilla id; CVE ids; advisory ids; on YUM and DNF alone."""
    if family != "rpm":
        return False
    ids = set()
    for notice in patch.notices:
        ids |= {notice.id} | set(notice.cves) | {bug for bug in notice.bugzillas if bug.isdigit()}
    return entry in ids


def when(rule: object, day: str, family: str) -> Callable[[str], bool]:
    """§2.4: on which days the date condition of a rule holds for a patch dated *day*."""
    if family == "apt" or day == "":
        return lambda _: True
    if rule.approve_until is not None:
        return lambda _: day <= str(rule.approve_until)
    return lambda today: day <= str(datetime.date.fromisoformat(today) - datetime.timedelta(rule.approve_after_days))


def approval(found: list[tuple[str, Callable[[str], bool]]], today: str) -> str:
    """The most severe level that approves on *today* (§2.8); empty where nothing does."""
    levels = [level for level, holds in found if holds(today)]
    return min(levels, key=LEVELS.index) if levels else ""


def decide_slowly(baseline: Baseline, patch: Patch, today: datetime.date) -> Answer:
    """Verdict, level, and the first of the next HORIZON days on which either is another."""
    family = kind(baseline.operating_system.value)
    if any(lists_patch(entry, family, patch) for entry in baseline.rejected):
        return "REJECTED", "UNSPECIFIED", ""
    found = conditions(baseline, patch, family)
    now, change = approval(found, str(today)), ""
    for day in following(today):
        if approval(found, day) != now:
            change = day
            break
    if now:
        return "APPROVED", now, change
    return ("PENDING" if change else "NOT_APPROVED"), "UNSPECIFIED", change


@lru_cache
def following(today: datetime.date) -> list[str]:
    """The HORIZON days after *today*."""
    return [str(today + datetime.timedelta(ahead)) for ahead in range(1, HORIZON + 1)]


def is_rejected(baseline: Baseline, name: str, arch: str, version: str) -> bool:
    """Step 4 of §2.2: it always wins."""
    family = kind(baseline.operating_system.value)
    return any(on_list(entry, family, name, arch, version) for entry in baseline.rejected)


# -------------------------------------------------------------------------------------------------------------- judge


def newer(scheme: Scheme, a: str, b: str) -> bool:
    """Whether *a* is newer than *b*."""
    return compare(scheme, a, b) > 0


def apt_choice(view: View, name: str, arch: str) -> str:
    """The candidate as apt's policy finds it: from the newest version down, a higher priority replaces the choice."""
    current = [package.version for package in view.packages.packages if (package.name, package.arch) == (name, arch)]
    versions: list[str] = list(current)
    for part in view.slices:
        versions += [offer.version for offer in part.offers if (offer.name, offer.arch) == (name, arch)]
    ordered: list[str] = []
    for version in dict.fromkeys(versions):
        place = 0
        while place < len(ordered) and newer(Scheme.DPKG, ordered[place], version):
            place += 1
        ordered.insert(place, version)
    choice, best = "", -1
    for version in ordered:
        priority = apt_priority(view, name, arch, version)
        if priority == 0 or priority <= best:
            continue
        if current and priority < 1000 and newer(Scheme.DPKG, current[0], version):
            continue
        choice, best = version, priority
    return choice


def apt_priority(view: View, name: str, arch: str, version: str) -> int:
    """A version's own pin, else the highest priority of the places it comes from; the status file counts 100."""
    for pin in view.facts.pins:
        if (pin.name, pin.version) == (name, version):
            return pin.priority
    places = []
    for ref, part in zip(view.facts.slices, view.slices, strict=True):
        places += [ref.pin for offer in part.offers if offer[:3] == (name, arch, version)]
    places += [100 for package in view.packages.packages if package[:3] == (name, arch, version)]
    return max(places)


def judge_slowly(
    baseline: Baseline, view: View, today: datetime.date, *, history: History, operation: str
) -> list[Row]:
    """§3.1, one row for each installed name.arch, in order of key; on SUSE one for each patch."""
    if kind(baseline.operating_system.value) == "suse":
        return suse_rows(baseline, view, today, history=history, operation=operation)
    approvals: dict[str, list[tuple[str, str]]] = {}
    keys = sorted({f"{package.name}.{package.arch}" for package in view.packages.packages})
    for patch in patches_slowly(view):
        if f"{patch.name}.{patch.arch}" not in keys:
            continue
        verdict, level, _ = decide_slowly(baseline, patch, today)
        if verdict == "APPROVED":
            approvals.setdefault(f"{patch.name}.{patch.arch}", []).append((patch.version, level))
    return [row_of(baseline, view, key, approvals.get(key, []), history=history, operation=operation) for key in keys]


def row_of(
    baseline: Baseline, view: View, key: str, approved: list[tuple[str, str]], *, history: History, operation: str
) -> Row:
    """The row of one name.arch: what is to be done comes first, then what is wrong, then what is well."""
    scheme = Scheme.DPKG if view.packages.manager.value == "apt" else Scheme.RPM
    standing = [package for package in view.packages.packages if f"{package.name}.{package.arch}" == key]
    here = standing[0]
    for package in standing:
        if newer(scheme, package.version, here.version):
            here = package
    above = [pair for pair in approved if newer(scheme, pair[0], here.version)]
    if scheme is Scheme.DPKG:
        above = [pair for pair in above if pair[0] == apt_choice(view, here.name, here.arch)]
    if above:
        version, level = newest(scheme, above)
        failed = operation == "Install" or (key in history.failures and history.attempted.get(key, version) == version)
        return key, "Failed" if failed else "Missing", here.version, version, level
    blocked = [package for package in standing if is_rejected(baseline, package.name, package.arch, package.version)]
    if blocked and baseline.rejected_action.value == "BLOCK":
        return key, "InstalledRejected", blocked[0].version, blocked[0].version, "UNSPECIFIED"
    below = [pair for pair in approved if not newer(scheme, pair[0], here.version)]
    if here in blocked or not below:
        return key, "InstalledOther", here.version, here.version, "UNSPECIFIED"
    state, level = "Installed", newest(scheme, below)[1]
    done = history.installs.get(key)
    if here.state in ("unpacked", "half-configured", "half-installed"):
        state = "Failed"
    elif done is not None and view.facts.boot_id and (done.version, done.boot_id) == (here.version, view.facts.boot_id):
        state = "InstalledPendingReboot"
    return key, state, here.version, here.version, level


def full(key: str, version: str) -> str:
    """§3.1: name.arch:epoch:version-release."""
    return f"{key}:{version}" if ":" in version else f"{key}:0:{version}"


def suse_rows(baseline: Baseline, view: View, today: datetime.date, *, history: History, operation: str) -> list[Row]:
    """§2.5 on SLES: what a patch says of the installed packages that it lists; and the rejected packages that are there."""
    here: dict[str, str] = {}
    rows: list[Row] = []
    for package in view.packages.packages:
        key = f"{package.name}.{package.arch}"
        if key not in here or newer(Scheme.RPM, package.version, here[key]):
            here[key] = package.version
    for patch in suse_patches(view):
        fixes = [(f"{name}.{arch}", version) for name, arch, version in patch.packages]
        below = [fix for fix in fixes if newer(Scheme.RPM, fix[1], here[fix[0]])]
        verdict, level, _ = decide_slowly(baseline, patch, today)
        if fixes and (verdict == "APPROVED" or not below):
            past = (history, operation, view.facts.boot_id)
            rows.append(suse_row(baseline, patch.name, (fixes, below, here), (verdict, level), past))
    for key, top in here.items():
        versions = [package.version for package in view.packages.packages if f"{package.name}.{package.arch}" == key]
        name, arch = key.rsplit(".", 1)
        blocks = baseline.rejected_action.value == "BLOCK"
        named = [version for version in versions if is_rejected(baseline, name, arch, version)]
        if named and blocks:
            rows.append((key, "InstalledRejected", named[0], named[0], "UNSPECIFIED"))
        elif top in named:
            rows.append((key, "InstalledOther", top, top, "UNSPECIFIED"))
    return sorted(rows)


def suse_row(baseline: Baseline, name: str, node: tuple, decision: tuple[str, str], past: tuple) -> Row:
    """The row of a patch of which the node has something."""
    fixes, below, here = node
    history, operation, boot = past
    shown = sorted({key for key, _ in below or fixes})
    installed = ", ".join(full(key, here[key]) for key in shown)
    if below:
        best = {key: newest(Scheme.RPM, [(fix[1], fix[0]) for fix in below if fix[0] == key])[0] for key in shown}
        wanted = ", ".join(full(key, best[key]) for key in shown)
        tried = [key for key in shown if key in history.failures and history.attempted.get(key, best[key]) == best[key]]
        return name, "Failed" if tried or operation == "Install" else "Missing", installed, wanted, decision[1]
    if decision[0] == "APPROVED":
        done = history.installs
        ours = [
            key for key in shown if key in done and boot and (done[key].version, done[key].boot_id) == (here[key], boot)
        ]
        return name, "InstalledPendingReboot" if ours else "Installed", installed, installed, decision[1]
    named = any(expands(entry, name) for entry in baseline.rejected)
    blocked = named and baseline.rejected_action.value == "BLOCK"
    return name, "InstalledRejected" if blocked else "InstalledOther", installed, installed, "UNSPECIFIED"


def newest(scheme: Scheme, pairs: list[tuple[str, str]]) -> tuple[str, str]:
    """Step 5 of §2.2: of several approved versions only the newest counts."""
    best = pairs[0]
    for pair in pairs:
        if newer(scheme, pair[0], best[0]):
            best = pair
    return best


# ------------------------------------------------------------------------------------------------------ intent and plan


def intend_slowly(
    baseline: Baseline, view: View, judgement: Judgement
) -> tuple[list[tuple[str, str, str]], list[str], list[str]]:
    """What is wanted (key, from, to), what is blocked, and what may come as a dependency only."""
    open_items = [item for item in judgement.items if item.state.value in ("Missing", "Failed")]
    wanted = [(item.key, item.installed, item.version) for item in open_items]
    names = sorted(dict.fromkeys(baseline.rejected))
    if kind(baseline.operating_system.value) == "suse":
        wanted = suse_wishes(open_items)
        asked = {full_names(*wish[0].rsplit(".", 1), wish[2])[0] + ".rpm" for wish in wanted}
        for name, notice in view.notices.items():
            if baseline.rejected_action.value == "BLOCK" and any(expands(entry, name) for entry in baseline.rejected):
                names = sorted({*names, *({full_names(*row)[0] + ".rpm" for row in notice.packages} - asked)})
    if baseline.rejected_action.value == "BLOCK":
        return wanted, names, []
    return wanted, [], names


def suse_wishes(open_items: list) -> list[tuple[str, str, str]]:
    """Step 5 of §2.2 for the packages of all patches that are to be installed."""
    best: dict[str, tuple[str, str]] = {}
    for item in open_items:
        for before, after in zip(item.installed.split(", "), item.version.split(", "), strict=True):
            key, version = after.split(":", 1)
            if key not in best or newer(Scheme.RPM, version, best[key][1]):
                best[key] = before.split(":", 1)[1], version
    plain = [(key, before.removeprefix("0:"), after.removeprefix("0:")) for key, (before, after) in best.items()]
    return sorted(plain)


def settles_slowly(intent: Intent, resolution: Resolution, family: str) -> bool:
    """Whether a closure keeps to its intent (design D4, §2.7)."""
    scheme = Scheme.DPKG if family == "apt" else Scheme.RPM
    wishes = {f"{wish.name}.{wish.arch}": (wish.installed, wish.version) for wish in intent.wanted}
    seen: set[str] = set()
    for action in resolution.actions:
        key = f"{action.name}.{action.arch}"
        if key in seen or action.after == "" or action.wanted != (key in wishes):
            return False
        if key in wishes and wishes[key] != (action.before, action.after):
            return False
        if any(on_list(entry, family, action.name, action.arch, action.after) for entry in intent.blocked):
            return False
        if action.before and newer(scheme, action.before, action.after):
            return False
        seen.add(key)
    for key in wishes:
        if key not in seen and not resolution.unresolved.get(key):
            return False
    return all(key in wishes for key in resolution.unresolved)
