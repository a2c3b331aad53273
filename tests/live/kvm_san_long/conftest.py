# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One SAN and two KVM hosts for all tests; every test begins without LUNs, all sessions up."""

from __future__ import annotations

from tests.live.kvm_san_machines import kvm_san, running_kvm_san

__all__ = ("kvm_san", "running_kvm_san")
