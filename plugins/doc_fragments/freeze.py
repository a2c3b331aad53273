# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation twin of `freeze_options` in plugins/module_utils/_san/wishes.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What is to be held still, for how long, and whose it is."""

    DOCUMENTATION = r"""
options:
  state:
    type: str
    choices: [frozen, thawed]
    required: true
  naas:
    description:
      - The LUNs, by any spelling of their NAA names. Those without a mounted file system have nothing to freeze. Required with
        O(state=frozen).
    type: list
    elements: str
    default: []
  thaw_after:
    description:
      - Seconds after which everything is let go, if nobody has done it before.
    type: int
    default: 60
  made_by:
    description:
      - With O(state=thawed), let go only of what was frozen by the run with this mark, RV(made_by). Without it, of whatever any run has
        frozen.
    type: str
    default: ""
  timeout:
    type: float
    default: 15
attributes:
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: With O(state=frozen), what an earlier run has frozen is refused, because it is let go at a time that is that run's.
"""
