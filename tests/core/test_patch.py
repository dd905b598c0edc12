# SPDX-License-Identifier: Apache-2.0
"""Patches: one version of one package, as all repositories together describe it."""

from __future__ import annotations

import datetime

import pytest

from core.made import BASEOS, MAIN, SECURITY, UPDATES, deb, notice, offer, rpm
from patchwright.core.package import Manager, OffersSlice, Origin
from patchwright.core.patch import patches, title
from patchwright.core.system import Family


def apt_slice(origin, *offers):
    """A slice of an apt repository."""
    return OffersSlice.of(Manager.APT, origin, offers)


def rpm_slice(origin, *offers):
    """A slice of an rpm repository."""
    return OffersSlice.of(Manager.DNF, origin, offers)


@pytest.mark.parametrize(
    ("family", "version", "expected"),
    [
        (Family.APT, "3.0.15-1", "a.amd64:3.0.15-1"),
        (Family.APT, "1:3.0.15-1", "a.amd64:1:3.0.15-1"),
        (Family.RPM, "3.0-1", "a.amd64:0:3.0-1"),
        (Family.RPM, "2:3.0-1", "a.amd64:2:3.0-1"),
    ],
)
def test_a_title_shows_the_epoch_on_rpm_always_on_apt_where_there_is_one(family, version, expected):
    """As AWS writes it."""
    assert title(family, "a.amd64", version) == expected


def test_a_patch_titles_itself():
    """Key and title from its own members."""
    assert (rpm("a", "1-1").key, rpm("a", "1-1").title) == ("a.x86_64", "a.x86_64:0:1-1")


@pytest.mark.parametrize(
    ("patch", "classification", "severity"),
    [
        (deb(security=True, priority="optional"), "Security", "Optional"),
        (deb(security=False, priority=""), "", ""),
        (rpm(), "", ""),
        (rpm(notices=(notice("a", severity="Low", classification="Bugfix"), notice("b"))), "Security", "Important"),
        (rpm(notices=(notice("b", classification="Bugfix"), notice("a"))), "Security", "Important"),
    ],
)
def test_class_and_severity_come_from_the_archive_or_the_weightiest_notice(patch, classification, severity):
    """Among notices of one weight the first id speaks."""
    assert (patch.classification, patch.severity) == (classification, severity)


def test_class_and_severity_are_spelt_as_the_api_spells_them():
    """Amazon Linux and SUSE write both in small letters."""
    patch = rpm(notices=(notice(classification="newpackage", severity="medium"),))

    assert (patch.classification, patch.severity) == ("Newpackage", "Medium")


def test_cves_are_those_of_every_notice_once():
    """Sorted."""
    patch = rpm(notices=(notice("a", cves=("CVE-2", "CVE-1")), notice("b", cves=("CVE-2",))))

    assert patch.cves == ("CVE-1", "CVE-2")


@pytest.mark.parametrize(
    ("seconds", "day"),
    [(0, None), (86_399, datetime.date(1970, 1, 1)), (86_400, datetime.date(1970, 1, 2))],
)
def test_the_build_day_is_a_utc_day(seconds, day):
    """Zero means unknown."""
    assert rpm(build_time=seconds).build_day == day


def test_one_version_in_two_repositories_is_one_patch():
    """It is a security patch if one of them is a security archive, whose section and priority count."""
    found = patches(
        Family.APT,
        "Debian12",
        [
            apt_slice(MAIN, offer("a 1", section="web", priority="extra"), offer("a 2")),
            apt_slice(SECURITY, offer("a 1", section="net", priority="required")),
        ],
        {},
    )

    assert [(patch.version, patch.security, patch.section, patch.priority) for patch in found] == [
        ("1", True, "net", "required"),
        ("2", False, "libs", "optional"),
    ]
    assert found[0].repositories == ("bookworm", "bookworm-security")
    assert found[0].product == "Debian12"


def test_an_empty_word_of_the_security_archive_leaves_it_to_the_next():
    """Section and priority are each the first that is not empty."""
    (patch,) = patches(
        Family.APT,
        "",
        [apt_slice(SECURITY, offer("a 1", section="", priority="")), apt_slice(MAIN, offer("a 1", section="web"))],
        {},
    )

    assert (patch.section, patch.priority) == ("web", "optional")


def test_the_order_of_repositories_makes_no_difference():
    """Not even for two mirrors that bear one name and disagree."""
    first, second = apt_slice(MAIN, offer("a 1", section="x")), apt_slice(MAIN, offer("a 1", section="y"))

    assert patches(Family.APT, "", [first, second], {}) == patches(Family.APT, "", [second, first], {})


def test_notices_of_all_repositories_count_and_unknown_ids_do_not():
    """The latest build time, notices in order of id, the repository's name from code name, suite or label."""
    known = {item.id: item for item in (notice("n1"), notice("n2"))}
    (patch,) = patches(
        Family.RPM,
        "RockyLinux9.4",
        [
            rpm_slice(BASEOS, offer("a.x86_64 1-1", build_time=5, notices=("n2",))),
            rpm_slice(UPDATES, offer("a.x86_64 1-1", build_time=9, notices=("n1", "gone"))),
            rpm_slice(Origin(suite="extras"), offer("a.x86_64 1-1")),
        ],
        known,
    )

    assert patch.notices == (known["n1"], known["n2"])
    assert patch.build_time == 9
    assert patch.repositories == ("baseos", "extras", "updates")
    assert patch.security is False


def test_an_rpm_repository_is_no_security_archive_by_its_name():
    """On rpm notices say what is a security update."""
    (patch,) = patches(Family.RPM, "", [rpm_slice(SECURITY, offer("a 1"))], {})

    assert patch.security is False


def test_nothing_offered_is_no_patch():
    """No slice, and an empty one."""
    assert patches(Family.APT, "", [], {}) == patches(Family.APT, "", [apt_slice(MAIN)], {}) == ()
