# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What arrays know, asked once each; and which volume an export is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, ArrayView, view
from tests.unit.ports import NAME, OTHER, MemoryArray, lun

ABOUT = ArrayAbout("ontap", "lab", "ontap.example.com", "9.16.1")


def exporting(*exports: tuple[str, str]) -> ArrayView:
    return ArrayView(volumes=[(ABOUT, Volume(export, export, "svm1", export, [address])) for export, address in exports])


@pytest.mark.parametrize(
    ("remote", "export"),
    [
        ("192.0.2.21:/vol", "/vol"),
        ("192.0.2.21:/vol/", "/vol"),
        ("192.0.2.21:/vol/a/b", "/vol"),
        ("192.0.2.21:/vol/deep/x", "/vol/deep"),
        ("[2001:db8::1]:/six", "/six"),
        ("192.0.2.21:/other", None),
        ("192.0.2.21:/volume", None),
        ("192.0.2.99:/vol", None),
        ("no-such-server.invalid:/vol", None),
    ],
)
def test_an_export_is_the_nearest_volume_above_its_path_at_its_address(remote: str, export: str | None) -> None:
    answers = exporting(("/vol", "192.0.2.21"), ("/vol/deep", "192.0.2.21"), ("/six", "2001:db8::1"))
    found = answers.volume_of(remote)
    assert (found[1].export if found else None) == export


def test_a_server_is_also_known_by_its_name() -> None:
    assert exporting(("/vol", "127.0.0.1")).volume_of("localhost:/vol") is not None


def test_each_array_is_asked_for_its_own_and_closed() -> None:
    one, two = MemoryArray(lun(NAME)), MemoryArray(lun(OTHER))
    answers = view([ArraySource("one", lambda: one), ArraySource("two", lambda: two)], {NAME, OTHER}, with_exports=False)
    assert set(answers.luns) == {NAME, OTHER}
    assert one.calls == two.calls == ["about", "luns", "close"]


@pytest.mark.parametrize("fails_at", ["open", "about"])
def test_an_array_that_fails_is_noted_and_the_next_is_asked(fails_at: str) -> None:
    def broken() -> MemoryArray:
        if fails_at == "open":
            raise ConnectionFailed("no route to it")
        return MemoryArray(error="no route to it")

    answers = view([ArraySource("bad", broken), ArraySource("good", lambda: MemoryArray(lun(NAME)))], {NAME}, with_exports=True)
    assert NAME in answers.luns
    assert answers.failures == ["array bad could not be asked: no route to it"]
    assert answers.absence("LUN x") == (
        "LUN x is not on good, but may be where nobody could look: array bad could not be asked: no route to it"
    )


def test_an_array_with_a_wrong_password_is_not_said_to_lack_a_lun() -> None:
    def refuse() -> MemoryArray:
        raise AuthenticationFailed("a1 refuses the user name or password. Correct them.")

    answers = view([ArraySource("a1", refuse)], {NAME}, with_exports=False)
    told = answers.absence("LUN x", "NetApp ONTAP")
    assert told == (
        "LUN x (by its name it is on NetApp ONTAP) could not be looked up: "
        "array a1 could not be asked: a1 refuses the user name or password; Correct them"
    )
    assert answers.absence_of_export("192.0.2.21:/vol") == (
        "export 192.0.2.21:/vol could not be looked up: array a1 could not be asked: a1 refuses the user name or password; Correct them"
    )


def test_only_arrays_that_answered_are_said_to_lack_a_lun() -> None:
    answers = view([ArraySource("one", MemoryArray), ArraySource("two", MemoryArray)], {NAME}, with_exports=False)
    assert answers.absence("LUN x") == "LUN x is on none of the arrays one, two"


def test_an_export_whose_server_nobody_knows_by_address_is_not_said_to_be_nowhere() -> None:
    answers = view([ArraySource("one", MemoryArray)], {NAME}, with_exports=True)
    assert answers.absence_of_export("192.0.2.99:/vol") == "export 192.0.2.99:/vol is on none of the arrays one"
    assert answers.absence_of_export("no-such-server.invalid:/vol") == (
        "export no-such-server.invalid:/vol could not be looked up, "
        "because no name server of this machine knows an address of no-such-server.invalid"
    )


@pytest.mark.parametrize(("luns", "more"), [(10, ""), (13, "; and 3 more")])
def test_a_warning_names_ten_luns_and_counts_the_rest(luns: int, more: str) -> None:
    dark = [replace(lun(ScsiName.from_ontap_serial(f"80Lab-aaaa{n:02}")), state="offline") for n in range(luns)]
    answers = view([ArraySource("one", lambda: MemoryArray(others=dark))], [one.name for one in dark], with_exports=False)
    (warning,) = answers.warnings()
    assert warning.count(" is offline") == 10
    assert warning.endswith(f" is offline{more}.")


def test_two_luns_of_one_name_on_one_array_are_two() -> None:
    twice = [replace(lun(NAME), svm=svm, path="/vol/v1/l1", id=f"uuid-{svm}") for svm in ("svm1", "svm2")]
    answers = view([ArraySource("one", lambda: MemoryArray(others=twice))], {NAME}, with_exports=False)
    assert [one.svm for _about, one in answers.luns[NAME]] == ["svm1", "svm2"]
