# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many examples hypothesis makes of a property: 10 while one writes code, 100 in the tier that takes its time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

THOROUGH, QUICK = "untimed", "quick"


def register() -> None:
    """Make the profiles known, and use the thorough one where no option says otherwise.

    Neither measures examples or how fast they are made, so that a machine that is busy makes no test fail.
    """
    settings.register_profile(THOROUGH, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(QUICK, settings.get_profile(THOROUGH), max_examples=10)
    settings.load_profile(THOROUGH)


def share(part: float) -> int:
    """So many of the examples that the profile makes, for a property whose examples cost more, or less, than others'."""
    return max(1, round(settings().max_examples * part))
