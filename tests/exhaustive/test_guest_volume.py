# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN on its way to a volume in a guest and back: whatever request fails, nothing is left half-made and the next run gets there."""

from __future__ import annotations

import pytest

from tests.unit.volume_ways import WAYS, Way, problems


@pytest.mark.parametrize("way", WAYS)
def test_whatever_request_fails_nothing_is_left_half_made_and_the_next_run_gets_there(way: Way) -> None:
    assert (wrong := problems(way, every_read=1)) == [], "\n".join(wrong)
