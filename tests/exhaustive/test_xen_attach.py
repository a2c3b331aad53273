# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN on its way into a VM of a Xen pool and back: a request that fails leaves nothing half-made, a killed run is ended by the next."""

from __future__ import annotations

import pytest

from tests.unit.xen_ways import WAYS, Trial


@pytest.mark.parametrize(("protocol", "verb"), WAYS)
def test_whatever_request_fails_nothing_is_left_half_made_and_the_next_run_gets_there(protocol: str, verb: str) -> None:
    trial = Trial(protocol, verb)
    assert (wrong := trial.problems_of_faults(range(len(trial.requests)))) == [], "\n".join(wrong)


@pytest.mark.parametrize(("protocol", "verb"), WAYS)
def test_a_run_that_is_killed_at_any_change_is_ended_by_the_next(protocol: str, verb: str) -> None:
    trial = Trial(protocol, verb)
    assert (wrong := trial.problems_of_kills(trial.changes)) == [], "\n".join(wrong)
