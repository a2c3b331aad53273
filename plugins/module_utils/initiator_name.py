# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of initiators, Fibre Channel and iSCSI, in the one spelling that arrays want."""

from __future__ import annotations

from typing import Sequence, Union

from ansible.module_utils.compat.typing import Literal

from ansible_collections.crossvisor.san.plugins.module_utils.errors import InvalidInput


def normalize_wwpn(value: Union[str, int, Sequence[int]]) -> str:
    """The port name as 16 lower-case hex digits in colon-separated pairs.  Raises InvalidInput."""
    raise NotImplementedError


def normalize_iqn(text: str) -> str:
    """The iSCSI name (iqn., eui. or naa.) in lower case.  Raises InvalidInput."""
    raise NotImplementedError


def normalize_initiator(text: str) -> str:
    """normalize_wwpn or normalize_iqn, by the form of ``text``.  Raises InvalidInput."""
    raise NotImplementedError


def initiator_kind(text: str) -> Literal["fc", "iscsi"]:
    """Which transport the initiator uses, by the form of its name.  Raises InvalidInput."""
    raise NotImplementedError
