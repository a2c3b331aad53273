# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that grows: what is a rounding, and what is told when it did not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.provision import CYLINDER, is_rounding
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from tests.ontap_backend import Bench
from tests.unit.ontap import GIB, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import BOTH, WRITES

pytestmark = pytest.mark.slow

SIZES = st.integers(min_value=CYLINDER, max_value=128 * 1024**4)


class TestRounding:
    @given(SIZES)
    def test_up_or_down_to_a_whole_cylinder_is_no_other_size(self, asked: int) -> None:
        down = asked // CYLINDER * CYLINDER
        assert is_rounding(asked, asked)
        assert is_rounding(asked, down)
        assert is_rounding(asked, down if down == asked else down + CYLINDER)

    @given(SIZES, st.sampled_from([512, 4096]))
    def test_up_to_a_whole_block_is_no_other_size(self, asked: int, block: int) -> None:
        assert is_rounding(asked, -(-asked // block) * block)

    @given(SIZES, st.integers(min_value=CYLINDER, max_value=1024**4))
    def test_is_never_a_cylinder_or_more(self, asked: int, more: int) -> None:
        assert not is_rounding(asked, asked + more)
        assert not is_rounding(asked + more, asked)

    def test_does_not_hide_that_a_small_lun_shall_grow(self) -> None:
        assert not is_rounding(20 * 1024**2, 16 * 1024**2)


class TestTheSize:
    @pytest.mark.parametrize("os_type", ["windows", "vmware"])
    def test_rounded_by_the_array_is_no_drift(self, bench: Bench, os_type: str) -> None:
        asked = wish(size_bytes=GIB + 1, os_type=os_type)
        _first, lun = bench.provision(asked)
        assert lun is not None
        assert lun.size_bytes > asked.size_bytes  # type: ignore[operator]
        assert not bench.provision(asked)[0].changed

    def test_grows(self, bench: Bench) -> None:
        bench.provision(wish())
        outcome, lun = bench.provision(wish(size_bytes=20 * GIB))
        assert lun is not None
        assert (list(outcome.actions), lun.size_bytes) == (
            [f"grow LUN svm_san:/vol/vol_prod/new from {10 * GIB} to {20 * GIB} bytes"],
            20 * GIB,
        )
        assert outcome.diff() == {
            "before": {"svm_san:/vol/vol_prod/new": {"size_bytes": 10 * GIB}},
            "after": {"svm_san:/vol/vol_prod/new": {"size_bytes": 20 * GIB}},
        }

    def test_grows_by_less_than_a_cylinder_too(self, bench: Bench) -> None:
        bench.provision(wish(size_bytes=16 * 1024**2))
        outcome, lun = bench.provision(wish(size_bytes=16 * 1024**2 + CYLINDER // 2))
        assert lun is not None
        assert (outcome.changed, lun.size_bytes >= 16 * 1024**2 + CYLINDER // 2) == (True, True)

    def test_never_shrinks(self, bench: Bench) -> None:
        bench.provision(wish())
        before = bench.state()
        with pytest.raises(Refused, match=rf"has {10 * GIB} bytes, more than the {GIB} asked for, and LUNs are never shrunk"):
            bench.provision(wish(size_bytes=GIB, initiators=BOTH))
        assert bench.state() == before

    def test_is_not_grown_when_the_mapping_fails(self, bench: Bench) -> None:
        bench.provision(wish())
        before = bench.state()
        bench.fail(WRITES["map"], {"error": {"code": 5374581, "message": "A node has no interface."}})
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish(size_bytes=20 * GIB, initiators=BOTH))
        assert bench.state() == before


class TestALunThatIsNotAsAsked:
    def test_is_told_when_it_did_not_grow(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", 10 * GIB), after=True)
        with pytest.raises(StepFailed, match="did not grow"):
            bench.provision(wish(size_bytes=20 * GIB))

    def test_is_told_when_it_is_gone_after_it_grew(self, bench: BenchInPlace) -> None:
        bench.provision(wish(initiators=()))
        bench.meanwhile(WRITES["grow"], lambda: bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10), after=True)
        with pytest.raises(StepFailed, match="did not grow"):
            bench.provision(wish(size_bytes=20 * GIB, initiators=()))

    @pytest.mark.parametrize("size", [40 * GIB, 20 * GIB // CYLINDER * CYLINDER], ids=["more by somebody else", "rounded down"])
    def test_is_not_told_when_it_grew_otherwise(self, bench: BenchInPlace, size: int) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", size), after=True)
        assert bench.provision(wish(size_bytes=20 * GIB))[0].changed

    def test_is_as_asked_when_somebody_else_was_quicker(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", 20 * GIB))
        _outcome, lun = bench.provision(wish(size_bytes=20 * GIB))
        assert lun is not None
        assert lun.size_bytes == 20 * GIB
