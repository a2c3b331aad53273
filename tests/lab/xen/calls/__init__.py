# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the calls do that are more than a look into the database, by subject."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.xen.calls import disks, drives, machines, repositories
from tests.lab.xen.calls.common import Handler

HANDLERS: Mapping[str, Handler] = {**drives.HANDLERS, **disks.HANDLERS, **repositories.HANDLERS, **machines.HANDLERS}
