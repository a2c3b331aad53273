# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One SAN and two KVM hosts for all tests of a run; each file, or test, begins without LUNs, all sessions up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.kvm_san.lab import KvmSan


@pytest.fixture(scope="session")
def running_kvm_san(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KvmSan]:
    """The machines, in whatever state they are; they end with the tests.

    Each run has machines of its own, so that two of them are not in each other's way.
    """
    lab = KvmSan(tmp_path_factory.mktemp("kvm-san"))
    yield lab
    lab.stop()


@pytest.fixture
def kvm_san(running_kvm_san: KvmSan) -> KvmSan:
    """The machines as they were set up."""
    running_kvm_san.restore()
    return running_kvm_san
