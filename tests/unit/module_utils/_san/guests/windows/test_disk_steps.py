# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps from a LUN to a file system: each knows when it is done, reads back, and takes back only what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import disk_steps
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.disk_steps import (
    ROUNDING,
    BringOnline,
    DropGivenLetters,
    Erase,
    Format,
    Grow,
    Initialise,
    MakePartition,
    MakeWritable,
    SetLabel,
    TakeOver,
    UnmountErased,
    growth,
    only_partition,
    only_volume,
    refuse_other_content,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, MBR, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance
from tests.lab.hyperv.media import RAW, formatted
from tests.unit.windows_guest import GIB, Bench

pytestmark = pytest.mark.slow

MAKING: tuple[Callable[[Session, VolumeWish], Step], ...] = (Initialise, MakePartition, Format)
Making = Callable[[Session, VolumeWish], Step]
TIB = 1024**4
MIB = 1024**2
FORMATTED = Partition("id", 1, MIB, GIB, volume_path="\\\\?\\Volume{1}\\")
UNFORMATTED = Partition("id", 1, MIB, GIB, volume_path="\\\\?\\Volume{2}\\")
WITHOUT_VOLUME = Partition("id", 1, MIB, GIB)
VOLUMES = (Volume("id", "\\\\?\\Volume{1}\\", file_system="NTFS"), Volume("id", "\\\\?\\Volume{2}\\"))


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.see()
    return bench


def carry_out(*steps: Step) -> None:
    for step in steps:
        assert not step.done(), step.title
        step.do()
        step.verify()


def made(bench: Bench, *kinds: Making) -> tuple[Session, list[Step]]:
    """The disk after these steps, and they."""
    session = bench.session()
    carry_out(BringOnline(session), MakeWritable(session))
    steps = [kind(session, bench.wish()) for kind in kinds]
    carry_out(*steps)
    assert all(step.done() for step in steps)
    return session, steps


def awaited(monkeypatch: pytest.MonkeyPatch, session: Session, step: Step) -> Callable[[Layout], bool]:
    """What the step waits for before it judges what Windows has made of it."""
    found: list[Callable[[Layout], bool]] = []

    def await_volume(ready: Callable[[Layout], bool]) -> Layout:
        found.append(ready)
        return session.layout

    monkeypatch.setattr(session, "await_volume", await_volume)
    step.verify()
    (ready,) = found
    return ready


def calls(monkeypatch: pytest.MonkeyPatch, session: Session, target: str, *answers: CimInstance) -> list[tuple[str, Any]]:
    """The calls of the disk's, a partition's or a volume's methods, which do not reach it, with what each is given last."""
    made: list[tuple[str, Any]] = []
    waiting = list(answers)

    def call(method: str, *arguments: Any, **_how: Any) -> CimInstance | None:
        made.append((method, arguments[-1]))
        return waiting.pop(0) if waiting else None

    monkeypatch.setattr(session, f"on_{target}", call)
    return made


def test_each_step_takes_itself_back_and_only_once(bench: Bench) -> None:
    before = bench.state()
    session = bench.session()
    steps: list[Step] = [BringOnline(session), MakeWritable(session)]
    carry_out(*steps)
    for step in reversed(steps):
        step.undo()
        step.undo()
    assert bench.state() == before


def test_a_partition_table_and_a_partition_of_this_run_are_taken_back(bench: Bench) -> None:
    _session, steps = made(bench, *MAKING)
    assert bench.medium.partitions[-1].file_system == "NTFS"
    for step in reversed(steps):
        step.undo()
        step.undo()
    assert (bench.medium.style, bench.medium.partitions) == (RAW, [])


def test_a_partition_table_with_something_on_it_is_not_taken_back(bench: Bench) -> None:
    _session, steps = made(bench, *MAKING)
    steps[0].undo()
    assert bench.medium.style == GPT
    assert bench.medium.partitions[-1].file_system == "NTFS"


def test_differences_tell_before_and_after(bench: Bench) -> None:
    session = bench.session()
    wish = bench.wish(label="data")
    told = {
        step.title.partition(" disk")[0]: (dict(step.before()), dict(step.after()))
        for step in (
            BringOnline(session),
            MakeWritable(session),
            Initialise(session, wish),
            MakePartition(session, wish),
            Format(session, wish),
        )
    }
    assert told == {
        "bring online": ({"online": False}, {"online": True}),
        "clear read-only on": ({"read_only": True}, {"read_only": False}),
        "write a GPT onto": ({"partition_style": "RAW"}, {"partition_style": "GPT"}),
        "make a partition over the whole of": ({"partitions": 0}, {"partitions": 1}),
        "make the file system NTFS on": ({"file_system": "", "label": ""}, {"file_system": "NTFS", "label": "data"}),
    }


@pytest.mark.parametrize(("style", "told"), [(RAW, "RAW"), (MBR, "MBR"), (GPT, "GPT"), (7, "unknown")])
def test_a_partition_table_is_told_by_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch, style: int, told: str) -> None:
    session = bench.session()
    step = Initialise(session, bench.wish())
    monkeypatch.setattr(Session, "layout", Layout(HostDisk(1, bench.name, GIB, "id", style=style)))
    assert step.before() == {"partition_style": told}


@pytest.mark.parametrize(
    ("partitions", "ready"),
    [((), True), ((WITHOUT_VOLUME,), False), ((UNFORMATTED,), False), ((FORMATTED,), True)],
    ids=["no partition", "no volume", "no file system", "a file system"],
)
def test_a_disk_that_comes_online_is_waited_for_until_its_file_system_is_mounted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, partitions: tuple[Partition, ...], ready: bool
) -> None:
    session = bench.session()
    carry_out(BringOnline(session))
    is_ready = awaited(monkeypatch, session, BringOnline(session))
    assert is_ready(Layout(HostDisk(1, bench.name, GIB, "id", style=GPT), partitions, VOLUMES)) is ready


@pytest.mark.parametrize(
    ("partitions", "ready"),
    [((), True), ((WITHOUT_VOLUME,), False), ((UNFORMATTED,), True)],
    ids=["no partition", "no volume", "a volume"],
)
def test_a_new_partition_is_waited_for_until_it_has_a_volume(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, partitions: tuple[Partition, ...], ready: bool
) -> None:
    session, steps = made(bench, *MAKING)
    is_ready = awaited(monkeypatch, session, steps[1])
    assert is_ready(Layout(HostDisk(1, bench.name, GIB, "id", style=GPT), partitions, VOLUMES)) is ready


def test_erasing_takes_hidden_partitions_along(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    session, _steps = made(bench, *MAKING)
    asked = calls(monkeypatch, session, "disk")
    Erase(session, bench.wish(file_system="ReFS", force=True)).do()
    assert asked == [("Clear", {"RemoveData": True, "RemoveOEM": True})]


def test_a_partition_table_is_taken_back_so_that_windows_spares_what_came_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    session, (step,) = made(bench, Initialise)
    asked = calls(monkeypatch, session, "disk")
    step.undo()
    assert asked == [("Clear", {"RemoveData": False, "RemoveOEM": False})]


@pytest.mark.parametrize(
    ("wished", "sent"),
    [
        ({}, {"FileSystem": "NTFS", "FileSystemLabel": "", "Full": False}),
        (
            {"file_system": "ReFS", "label": "data", "allocation_unit_bytes": 65536},
            {"FileSystem": "ReFS", "FileSystemLabel": "data", "AllocationUnitSize": 65536, "Full": False},
        ),
    ],
    ids=["nothing but a file system", "everything"],
)
def test_a_format_is_quick_and_leaves_to_windows_what_is_not_wished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wished: dict[str, Any], sent: dict[str, Any]
) -> None:
    session, _steps = made(bench, *MAKING)
    asked = calls(monkeypatch, session, "volume")
    Format(session, bench.wish(**wished)).do()
    assert asked == [("Format", sent)]


def test_a_new_label_is_taken_back(bench: Bench) -> None:
    session, _steps = made(bench, *MAKING)
    step = SetLabel(session, bench.wish(label="new"))
    assert (step.before(), step.after()) == ({"label": ""}, {"label": "new"})
    carry_out(step)
    assert bench.medium.partitions[-1].label == "new"
    step.undo()
    assert bench.medium.partitions[-1].label == ""


def test_erasing_has_no_way_back(bench: Bench) -> None:
    session, _steps = made(bench, *MAKING)
    step = Erase(session, bench.wish(file_system="ReFS", force=True))
    assert step.final
    assert step.before() == {"content": "the file system NTFS, not ReFS"}
    carry_out(step)
    assert bench.medium.style == RAW


@pytest.mark.parametrize(
    ("kind", "why"),
    [(BringOnline, "is still offline"), (MakeWritable, "is still read-only")],
)
def test_success_that_changed_nothing_is_no_success(bench: Bench, kind: Callable[[Session], Step], why: str) -> None:
    with pytest.raises(RemoteError, match=rf"Windows reported no error, but disk 1 .* {why}"):
        kind(bench.session()).verify()


@pytest.mark.parametrize(
    ("kind", "why"),
    [(Initialise, "has no GPT"), (MakePartition, "has no partition with a volume")],
)
def test_making_that_made_nothing_is_no_success(bench: Bench, kind: Making, why: str) -> None:
    with pytest.raises(RemoteError, match=rf"Windows reported no error, but disk 1 .* {why}"):
        kind(bench.session(), bench.wish()).verify()


def test_a_format_that_chose_another_unit_is_no_success(bench: Bench) -> None:
    session, _steps = made(bench, *MAKING)
    with pytest.raises(RemoteError, match="has NTFS with allocation units of 4096 bytes, not 65536"):
        Format(session, bench.wish(allocation_unit_bytes=65536)).verify()


def test_what_windows_refuses_is_told_in_its_own_words(bench: Bench) -> None:
    session = bench.session()
    with pytest.raises(RemoteError, match=r"win01\.lab:5986 refused Initialize of MSFT_Disk \(41003\): The disk is offline\."):
        Initialise(session, bench.wish()).do()


def test_an_empty_disk_that_was_offline_needs_no_look_at_its_content(bench: Bench) -> None:
    assert TakeOver(bench.session(), bench.wish()).done()


class TestUnmountingWhatWillBeErased:
    def test_is_taken_back_and_only_once(self, bench: Bench) -> None:
        bench.present("E:")
        session = bench.session()
        step = UnmountErased(session, bench.wish(file_system="ReFS", force=True))
        carry_out(step)
        assert bench.session().layout.access_paths == ()
        step.undo()
        step.undo()
        assert bench.session().layout.access_paths == ("E:\\",)

    def test_is_not_taken_back_on_a_disk_that_was_erased_since(self, bench: Bench) -> None:
        bench.present("E:")
        wish = bench.wish(file_system="ReFS", force=True)
        session = bench.session()
        step = UnmountErased(session, wish)
        carry_out(step, Erase(session, wish))
        step.undo()
        assert bench.session().layout.access_paths == ()

    def test_is_read_back(self, bench: Bench) -> None:
        bench.present("E:")
        with pytest.raises(RemoteError, match="still has an access path that was to go"):
            UnmountErased(bench.session(), bench.wish(file_system="ReFS", force=True)).verify()

    def test_is_not_for_what_stays(self, bench: Bench) -> None:
        bench.present("E:")
        assert UnmountErased(bench.session(), bench.wish()).done()


class TestALetterThatWindowsChose:
    @pytest.mark.parametrize(
        ("mounted", "wished", "goes"),
        [("E:", None, ["E:\\"]), ("E:", "C:\\mt1", ["E:\\"]), ("E:", "E:", []), ("C:\\mt1", None, [])],
        ids=["nothing is wished", "a mount point is wished", "it is wished", "it is a mount point"],
    )
    def test_goes_unless_it_is_wished(self, bench: Bench, mounted: str, wished: str | None, goes: list[str]) -> None:
        bench.present(mounted)
        bench.session().on_disk("Offline")
        session = bench.session()
        step = DropGivenLetters(session, bench.wish(wished))
        carry_out(BringOnline(session))
        assert [path for _partition, path in step.unwanted()] == goes

    def test_stays_where_the_disk_was_online_before(self, bench: Bench) -> None:
        bench.present("E:")
        assert DropGivenLetters(bench.session(), bench.wish(None)).done()


def test_a_label_is_read_back(bench: Bench) -> None:
    session, _steps = made(bench, *MAKING)
    with pytest.raises(RemoteError, match="still has the label ''"):
        SetLabel(session, bench.wish(label="new")).verify()


def test_the_label_of_before_comes_back(bench: Bench) -> None:
    bench.present("E:", label="old")
    step = SetLabel(bench.session(), bench.wish(label="new"))
    carry_out(step)
    step.undo()
    assert bench.medium.partitions[-1].label == "old"


def test_a_label_that_somebody_else_has_set_back_is_not_set_again(bench: Bench) -> None:
    bench.present("E:", label="old")
    step = SetLabel(bench.session(), bench.wish(label="new"))
    carry_out(step)
    bench.medium.partitions[-1].label = "old"
    before = bench.wire.count("SetFileSystemLabel")
    step.undo()
    assert bench.wire.count("SetFileSystemLabel") == before


def test_erasing_is_read_back(bench: Bench) -> None:
    session, _steps = made(bench, *MAKING)
    step = Erase(session, bench.wish(file_system="ReFS", force=True))
    assert step.after() == {"content": ""}
    with pytest.raises(RemoteError, match="still has a partition table"):
        step.verify()


@pytest.mark.parametrize("kind", MAKING)
def test_nothing_is_done_while_something_else_is_there(bench: Bench, kind: Making) -> None:
    session, _steps = made(bench, *MAKING)
    assert not kind(session, bench.wish(file_system="ReFS", force=True)).done()


def test_a_disk_without_partition_or_volume_is_refused_where_one_is_needed(bench: Bench) -> None:
    with pytest.raises(Refused, match=r"There are 0 partitions on disk 1 .*, not one: run this again\."):
        only_partition(bench.session())
    with pytest.raises(Refused, match=r"Windows shows no volume on disk 1 .*: run this again\."):
        only_volume(bench.session())


class TestOtherContent:
    def test_of_a_disk_without_a_partition_table_nobody_can_tell(self, bench: Bench) -> None:
        with pytest.raises(Refused, match=r"^Disk 1 .* has no partition table that Windows knows.* say blank=true"):
            refuse_other_content(bench.session(), bench.wish(blank=False))
        refuse_other_content(bench.session(), bench.wish(blank=True))
        refuse_other_content(bench.session(), bench.wish(blank=False, force=True))

    def test_is_none_where_the_wished_volume_is(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        refuse_other_content(session, bench.wish(blank=False))

    def test_is_another_label_that_may_be_changed_by_force(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        with pytest.raises(Refused, match=r"has the label '', not 'data': .* or change it by force=true .*\(its data stays\)\."):
            refuse_other_content(session, bench.wish(label="data"))


class TestGrowth:
    def test_of_the_partition_is_read_back(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        bench.resize_lun(9 * GIB)
        bench.see()
        with pytest.raises(RemoteError, match="did not give its partition all of its size"):
            Grow(session, bench.wish()).verify()

    def test_of_the_file_system_is_read_back(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        before = bench.medium.partitions[-1].volume_size
        bench.resize_lun(9 * GIB)
        bench.see()
        session.look()
        step = Grow(session, bench.wish())
        step.do()
        bench.medium.partitions[-1].volume_size = before
        with pytest.raises(RemoteError, match="has a file system that did not grow with its partition"):
            step.verify()

    def test_is_what_lies_behind_the_last_partition(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        assert 0 < growth(session.layout) < ROUNDING
        bench.resize_lun(9 * GIB)
        bench.see()
        session.look()
        assert growth(session.layout) > 3.9 * GIB
        step = Grow(session, bench.wish())
        assert step.after()["partition_bytes"] - step.before()["partition_bytes"] == growth(session.layout)
        carry_out(step)
        assert bench.medium.partitions[-1].volume_size > 8.9 * GIB

    def test_of_an_mbr_ends_at_two_tebibytes(self, bench: Bench) -> None:
        partition = Partition("id", 1, 1024**2, 2 * TIB - 1024**2)
        assert growth(Layout(HostDisk(1, bench.name, 3 * TIB, "id", style=MBR), (partition,))) == 0
        assert growth(Layout(HostDisk(1, bench.name, 3 * TIB, "id", style=GPT), (partition,))) == TIB

    def test_that_windows_does_not_allow_is_refused(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(disk_steps, "growth", lambda layout: 4 * GIB)
        session, _steps = made(bench, *MAKING)
        with pytest.raises(Refused, match="cannot grow although 4294967296 bytes are free behind it"):
            Grow(session, bench.wish()).do()

    @pytest.mark.parametrize(("behind", "grows"), [(16 * MIB - 1, False), (16 * MIB, True)])
    def test_of_less_than_16_mebibytes_is_a_rounding(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, behind: int, grows: bool) -> None:
        session, _steps = made(bench, *MAKING)
        monkeypatch.setattr(disk_steps, "growth", lambda layout: behind)
        step = Grow(session, bench.wish())
        assert step.done() is not grows
        if grows:
            with pytest.raises(RemoteError, match="did not give its partition all of its size"):
                step.verify()

    def test_that_was_there_before_anything_was_asked_is_no_fault(self, bench: Bench) -> None:
        session, _steps = made(bench, *MAKING)
        step = Grow(session, bench.wish())
        step.verify()
        assert step.done()

    def test_is_not_asked_for_where_windows_names_no_limit(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        session, _steps = made(bench, *MAKING)
        asked = calls(monkeypatch, session, "partition", CimInstance("MSFT_Partition"))
        with pytest.raises(Refused, match="see in the guest's disk management what keeps it"):
            Grow(session, bench.wish()).do()
        assert [method for method, _parameters in asked] == ["GetSupportedSize"]

    def test_may_ask_again_for_the_limit_when_the_answer_was_lost(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        session, _steps = made(bench, *MAKING)
        how: dict[str, Any] = {}

        def on_partition(_method: str, _object_id: str, **keywords: Any) -> CimInstance:
            how.update(keywords)
            return CimInstance("MSFT_Partition")

        monkeypatch.setattr(session, "on_partition", on_partition)
        with pytest.raises(Refused):
            Grow(session, bench.wish()).do()
        assert how["repeatable"] is True


class TestACopyOfADiskThatIsOnline:
    """As a LUN from a snapshot beside its original."""

    @pytest.fixture
    def copied(self, bench: Bench) -> Bench:
        original = next(disk for disk in bench.machine.disks if disk.boot)
        bench.lab.estate.media[bench.name.naa] = formatted(bench.name.naa, 5 * GIB, "NTFS", "data")
        bench.medium.guid = bench.lab.estate.medium(original.key).guid
        bench.disk.offline = bench.disk.read_only = True
        assert bench.medium.guid
        return bench

    def test_gets_identities_of_its_own_and_keeps_what_it_holds(self, copied: Bench) -> None:
        shared, volume = copied.medium.guid, copied.medium.partitions[-1].volume_guid
        result = copied.present("E:", blank=False).result()
        assert (result["volume"]["label"], result["volume"]["drive_letter"]) == ("data", "E:")
        assert copied.medium.guid != shared
        assert copied.medium.partitions[-1].volume_guid != volume

    def test_is_told_where_windows_has_not_done_so(self, copied: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copied.medium, "sign_anew", lambda: None)
        session = copied.session()
        step = BringOnline(session)
        step.do()
        with pytest.raises(RemoteError, match=r"has the signature of disk \d+, which is online too"):
            step.verify()
