# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one thing that the nouns work out by themselves."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import SAN_KINDS, Hba


@pytest.mark.parametrize("kind", sorted(SAN_KINDS))
def test_a_san_adapters_initiator_is_its_port_name_or_iscsi_name(kind: str) -> None:
    assert Hba("vmhba2", kind, "online", port_wwn="10:00:00:90:fa:00:00:01").initiator == "10:00:00:90:fa:00:00:01"
    assert Hba("vmhba64", kind, "online", iqn="iqn.2026-01.com.example:a").initiator == "iqn.2026-01.com.example:a"
    assert Hba("vmhba9", kind, "offline").initiator is None


@pytest.mark.parametrize("kind", ["sas", "block", "nvme_fc", "other"])
def test_other_adapters_have_no_initiator_whatever_names_they_carry(kind: str) -> None:
    assert Hba("vmhba0", kind, "online", port_wwn="50:00:00:90:fa:00:00:01").initiator is None
