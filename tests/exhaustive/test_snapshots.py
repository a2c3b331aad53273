# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots on ONTAP, killed at every request, before and after the array has done it: the next run ends what was begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from tests.unit.ontap import HOST_A, address, wish
from tests.unit.ontap_array import BenchInPlace, fresh
from tests.unit.ontap_snapshots import LATER, A, B, groups, names, remove, restoration, take


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(bench: BenchInPlace, number: int, after: bool) -> Iterator[list[int]]:
    """Let the process die at its n-th request; the numbers of those that were sent."""
    wire, send, sent = bench.server.wire, bench.server.wire.send, [0]

    def counted(request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        sent[0] += 1
        if sent[0] == number and not after:
            raise Killed
        response = send(request, *arguments, **options)
        if sent[0] == number:
            raise Killed
        return response

    wire.send = counted  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        wire.send = send  # type: ignore[method-assign]


def requests_of(act: Callable[[BenchInPlace], object], prepared: Callable[[BenchInPlace], object]) -> int:
    bench = fresh()
    prepared(bench)
    with killed_at(bench, 0, after=False) as sent:
        act(bench)
    return sent[0]


def nothing(_bench: BenchInPlace) -> None:
    """There is nothing before."""


def both(bench: BenchInPlace) -> object:
    return take(bench, A, B, comment="both", label="daily", expires=LATER)


def each(bench: BenchInPlace) -> object:
    return take(bench, A, B, comment="both", each=True)


def two(bench: BenchInPlace) -> object:
    return take(bench, A, B)


def gone(bench: BenchInPlace) -> object:
    return remove(bench, A, B)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("act", [both, each])
def test_a_snapshot_is_whole_after_the_next_run(act: Callable[[BenchInPlace], object], after: bool) -> None:
    for number in range(1, requests_of(act, nothing) + 1):
        bench = fresh()
        with killed_at(bench, number, after), pytest.raises(Killed):
            act(bench)
        act(bench)
        assert (names(bench, "vol_prod"), names(bench, "vol_dev"), groups(bench)) == (["s1"], ["s1"], []), number
        state = bench.state()
        act(bench)
        assert bench.state() == state, number


@pytest.mark.parametrize("after", [False, True])
def test_a_deletion_is_whole_after_the_next_run(after: bool) -> None:
    for number in range(1, requests_of(gone, two) + 1):
        bench = fresh()
        two(bench)
        with killed_at(bench, number, after), pytest.raises(Killed):
            gone(bench)
        gone(bench)
        assert (names(bench, "vol_prod"), names(bench, "vol_dev"), groups(bench)) == ([], [], []), number


def grown_since(bench: BenchInPlace) -> int:
    """The LUN had 1000 bytes in the snapshot, and is larger and otherwise since; returns the size that it has."""
    lun = next(lun for svm in bench.server.array.svms for lun in svm.luns if lun.base_name == A.lun)
    lun.created, lun.used = "2026-01-01T00:00:00Z", 1000
    take(bench)
    lun.used, lun.size, lun.comment = 2000, lun.size + 4096, "since then"
    return int(lun.size)


def restored(bench: BenchInPlace) -> object:
    safety = f"safe{len(names(bench))}"
    return carry_out(restoration(bench, safety_snapshot=safety).plan, False)


@pytest.mark.parametrize("after", [False, True])
def test_a_restoration_is_whole_after_the_next_run(after: bool) -> None:
    for number in range(1, requests_of(restored, grown_since) + 1):
        bench = fresh()
        size = grown_since(bench)
        with killed_at(bench, number, after), pytest.raises(Killed):
            restored(bench)
        restored(bench)
        lun = next(lun for svm in bench.server.array.svms for lun in svm.luns if lun.base_name == A.lun)
        assert lun.used == 1000, number
        held = {one.name: [then.used for then in one.luns if then.base_name == A.lun] for one in volume(bench).snapshots}
        assert [2000] in held.values(), number
        assert (lun.size, lun.comment) == (size, "since then"), number


def volume(bench: BenchInPlace) -> Any:
    return next(one for svm in bench.server.array.svms for one in svm.volumes if one.name == A.volume)


def with_data(bench: BenchInPlace) -> object:
    """The LUN has 1000 bytes in the snapshot, and was written to since."""
    lun = bench.stored_lun("/vol/vol_prod/ds_single")
    lun.used = 1000
    taken = take(bench)
    lun.used = 2000
    return taken


def connected(bench: BenchInPlace) -> object:
    return bench.provision(wish(size_bytes=None, clone_of=CloneOrigin(A.lun, "s1")))


def connected_before(bench: BenchInPlace) -> object:
    return with_data(bench), connected(bench)


def disconnected(bench: BenchInPlace) -> object:
    return bench.withdraw(WithdrawWish(lun=address(), initiators=HOST_A, delete=True, clone_of=CloneOrigin(A.lun, "s1")))


@pytest.mark.parametrize("after", [False, True])
def test_a_lun_from_a_snapshot_is_whole_after_the_next_run(after: bool) -> None:
    for number in range(1, requests_of(connected, with_data) + 1):
        bench = fresh()
        with_data(bench)
        with killed_at(bench, number, after), pytest.raises(Killed):
            connected(bench)
        connected(bench)
        made, original = bench.stored_lun(), bench.stored_lun("/vol/vol_prod/ds_single")
        assert made is not None, number
        assert (made.used, original.used) == (1000, 2000), number
        assert [lun.base_name for svm in bench.server.array.svms for lun in svm.luns].count("new") == 1, number
        state = bench.state()
        connected(bench)
        assert bench.state() == state, number


@pytest.mark.parametrize("after", [False, True])
def test_a_lun_from_a_snapshot_is_gone_without_a_trace_after_the_next_run(after: bool) -> None:
    for number in range(1, requests_of(disconnected, connected_before) + 1):
        bench = fresh()
        with_data(bench)
        state = bench.state()
        connected(bench)
        with killed_at(bench, number, after), pytest.raises(Killed):
            disconnected(bench)
        disconnected(bench)
        assert bench.state() == state, number
