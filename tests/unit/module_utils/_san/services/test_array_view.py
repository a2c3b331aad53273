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


def mirrored(*luns: tuple[ArrayAbout, str]) -> ArrayView:
    """Array and SVM's identifier of each LUN, which all have one name and one identifier on their array."""
    answers = ArrayView()
    for about, svm_id in luns:
        answers.add(about, replace(lun(NAME), svm_id=svm_id))
    return answers


SAME_AT_ANOTHER_ADDRESS = replace(ABOUT, address="ontap2.example.com")


def test_a_lun_of_an_array_that_is_asked_at_two_addresses_is_one() -> None:
    assert len(mirrored((ABOUT, "svm-uuid"), (SAME_AT_ANOTHER_ADDRESS, "svm-uuid")).luns[NAME]) == 1
    assert len(mirrored((replace(ABOUT, uuid="array"), ""), (replace(SAME_AT_ANOTHER_ADDRESS, uuid="array"), "")).luns[NAME]) == 1


def test_a_lun_of_another_array_is_another_although_all_else_is_the_same() -> None:
    assert len(mirrored((ABOUT, "svm-uuid"), (ABOUT, "svm-uuid-2")).luns[NAME]) == 2
    assert len(mirrored((replace(ABOUT, uuid="array"), ""), (replace(ABOUT, uuid="array-2"), "")).luns[NAME]) == 2
    assert len(mirrored((ABOUT, ""), (SAME_AT_ANOTHER_ADDRESS, "")).luns[NAME]) == 2


def test_both_ends_of_a_mirror_are_named_in_one_warning() -> None:
    (warning,) = mirrored((ABOUT, "svm-uuid"), (replace(ABOUT, name="lab2"), "svm-uuid-2")).warnings()
    assert warning.endswith(f" mirror, and a row each: LUN {NAME} (lab svm1:/vol/v1/l1 and lab2 svm1:/vol/v1/l1).")


@pytest.mark.parametrize("state", ["online", "unknown"])
def test_a_lun_that_is_there_once_and_not_known_to_be_dark_is_nothing_to_warn_of(state: str) -> None:
    answers = ArrayView()
    answers.add(ABOUT, replace(lun(NAME), state=state))
    assert answers.warnings() == []


def test_warnings_name_luns_in_the_order_of_their_names() -> None:
    answers = ArrayView()
    for name in (OTHER, NAME):
        answers.add(ABOUT, replace(lun(name), state="offline"))
        answers.add(ABOUT, replace(lun(name), svm_id="another", state="offline"))
    for warning in answers.warnings():
        assert warning.index(str(NAME)) < warning.index(str(OTHER))


def test_exports_are_asked_for_only_where_they_are_wished() -> None:
    array = MemoryArray(exports=[Volume("v", "v", "svm1", "/v", ["192.0.2.21"])])
    answers = view([ArraySource("one", lambda: array)], [], with_exports=True)
    assert [(about.name, volume.export) for about, volume in answers.volumes] == [("lab", "/v")]
    assert array.calls == ["about", "luns", "volumes", "close"]


def test_an_array_that_breaks_off_is_logged_out_from() -> None:
    array = MemoryArray(error="gone")
    view([ArraySource("one", lambda: array)], {NAME}, with_exports=False)
    assert array.calls == ["about", "close"]


@pytest.mark.parametrize(("vendor", "told"), [(None, ""), ("NetApp ONTAP", " (by its name it is on NetApp ONTAP)")])
def test_what_no_array_has_is_told_with_its_vendor(vendor: str | None, told: str) -> None:
    assert ArrayView().absence("LUN x", vendor) == f"no array was given to look up LUN x{told}"
    assert (
        ArrayView(asked=["one", "two"], answered=["one", "two"]).absence("LUN x", vendor)
        == f"LUN x is on none of the arrays one, two{told}"
    )


@pytest.mark.parametrize("remote", ["192.0.2.21:/", "192.0.2.21:/any/path"])
def test_a_volume_that_is_exported_at_the_root_is_above_every_path(remote: str) -> None:
    found = exporting(("/", "192.0.2.21")).volume_of(remote)
    assert found is not None
    assert found[1].export == "/"


def test_a_colon_in_a_path_is_not_the_end_of_the_server() -> None:
    assert exporting(("/vol", "192.0.2.21")).volume_of("192.0.2.21:/vol/a:b") is not None


@pytest.mark.parametrize("remote", ["192.0.2.21:/mount", "192.0.2.21:/mount/", "192.0.2.21:/mount/not"])
def test_nothing_but_slashes_is_cut_off_a_path(remote: str) -> None:
    assert exporting(("/mount", "192.0.2.21")).volume_of(remote) is not None
