# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a Windows machine look for new, grown and removed disks.

One look does not always tell: Windows refuses it now and then, and a first one may answer without having found what a second one finds.
Source: `MSFT_StorageSetting` of Microsoft's Windows Storage Management API reference; OpenStack's os-win asks again in both cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_call import call
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

_PAUSES = (0.5, 2.0)
"""Seconds before a look that was refused is asked for again."""


def refresh(
    client: CimClient, *, repeatable: bool = False, timeout: float | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Let the machine look once, which it may refuse twice. What it found has to be read.

    Raises `RemoteError` for the third refusal, and `OutcomeUnknown` when the answer was lost and the call is not `repeatable`.
    """
    for pause in _PAUSES:
        try:
            _refresh(client, repeatable, timeout)
            return
        except RemoteError:
            sleep(pause)
    _refresh(client, repeatable, timeout)


def _refresh(client: CimClient, repeatable: bool, timeout: float | None) -> None:
    call(client, storage_classes.STORAGE_SETTING, "UpdateHostStorageCache", repeatable=repeatable, timeout=timeout)
