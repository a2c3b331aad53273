# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an interpreter that a playbook names is the one that runs the playbook."""

from __future__ import annotations

import sys
from pathlib import Path


def is_own_interpreter(named: str | None) -> bool:
    """Whether the named program is the Python that runs this, with its libraries.

    Links are followed in the directory only: the `python` of a virtual environment is a link to the system's, which has other libraries.
    An interpreter that is not named is whatever Ansible discovers, seldom the own one.
    """
    if not named or not sys.executable:
        return False
    candidate, own = Path(named), Path(sys.executable)
    return candidate.is_absolute() and candidate.parent.resolve() == own.parent.resolve() and candidate.resolve() == own.resolve()
