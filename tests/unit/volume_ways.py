# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways of a LUN into a Windows guest's volume and back, and what is wrong once a request on one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.guest_volume import VolumeReport
from tests.unit.windows import Happening, Wire, lost, refusing
from tests.unit.windows_guest import GIB, Bench

MOUNT_POINT = "C:\\mt1"

Way = Callable[[Bench], VolumeReport]


def make(bench: Bench) -> VolumeReport:
    return bench.present(MOUNT_POINT, label="data")


def grow(bench: Bench) -> VolumeReport:
    return bench.present(MOUNT_POINT, label="data")


def leave(bench: Bench) -> VolumeReport:
    return bench.absent()


def replace(bench: Bench) -> VolumeReport:
    return bench.present(MOUNT_POINT, file_system="ReFS", force=True)


def before(way: Way) -> Bench:
    """The world in which a way begins, fresh."""
    bench = Bench()
    bench.see()
    if way is not make:
        make(bench)
    if way is grow:
        bench.resize_lun(9 * GIB)
        bench.see()
    bench.wire = Wire()
    return bench


WAYS = (make, grow, leave, replace)
UNDONE = {grow, replace}
"""The ways on which there is a point of no return."""
READS = ("Enumerate", "GetSupportedSize")


def problems(way: Way, every_read: int) -> list[str]:
    """What is wrong after any request of a way failed: each that changes something, and of those that do not one in so many."""
    bench = before(way)
    assert way(bench).outcome.changed
    goal = bench.state()
    return [problem for fault in faults(bench.wire.asked, every_read) for problem in _problems(way, goal, *fault)]


def faults(requests: Sequence[str], every_read: int) -> Iterator[tuple[str, str, int, Happening]]:
    """What may happen to one of the requests: it is refused or, when it changes something, lost before or after it was done."""
    reads = [number for number, request in enumerate(requests) if request.split()[1] in READS]
    for number, request in enumerate(requests):
        if number not in reads:
            yield f"losing {request}", "before", number, lost
            yield f"losing the answer to {request}", "after", number, lost
        if number not in reads or number in reads[::every_read]:
            yield f"refusing {request}", "before", number, refusing(RemoteError("The lab says no."))


def _problems(way: Way, goal: Any, case: str, moment: str, number: int, happening: Happening) -> Iterator[str]:
    """What is wrong after a fault happened to one request of a way."""
    bench = before(way)
    start = bench.state()
    getattr(bench.wire, moment)[number] = happening
    try:
        way(bench)
    except CrossvisorError as error:
        whole = str(error).startswith("All was done") or way in UNDONE
        if bench.state() != start and not whole:
            yield f"{case}: left something half-made: {error}"
    else:
        if bench.state() != goal:
            yield f"{case}: succeeded without reaching its end"
    bench.wire = Wire()
    way(bench)
    if bench.state() != goal:
        yield f"{case}: the next run ends elsewhere"
