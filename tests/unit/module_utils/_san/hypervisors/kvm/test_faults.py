# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt and QEMU say, in terms of the LUN."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.faults import explained


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Failed to read from LUN: LOGICAL_UNIT_NOT_SUPPORTED(0x2500)", "no longer shows it under the number"),
        ("iSCSI: Failed to connect to LUN : Failed to log in to target. Status: Target not found(515)", "does not let the initiator in"),
        ("Failed to log in to target. Status: Authentication failed(513)", "check user name and libvirt's iSCSI secret"),
        ("internal error: No more available PCI slots", "no free PCI Express port"),
        ("Could not open '/dev/disk/by-id/wwn-0x6': Permission denied", "check the permissions of libvirt's QEMU user"),
    ],
)
def test_a_known_reason_is_told_with_the_way_out(said: str, words: str) -> None:
    with (
        pytest.raises(Refused, match=rf"LUN x was not attached to VM y: .*{words}.*\({said[:7]}"),
        explained("LUN x was not attached to VM y"),
    ):
        raise RemoteError(said, "1")


def test_an_unknown_one_is_passed_on_with_its_code() -> None:
    with pytest.raises(RemoteError, match="LUN x was not attached: something else") as refusal, explained("LUN x was not attached"):
        raise RemoteError("something else", "55")
    assert refusal.value.code == "55"


def test_what_is_no_refusal_passes() -> None:
    with pytest.raises(CrossvisorError, match=r"^lost$"), explained("LUN x was not attached"):
        raise CrossvisorError("lost")
