# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first KVM host, and its array, as an Ansible inventory: ``python -m tests.lab.kvm_san.inventory DIRECTORY > inventory.json``.

It stands beside the inventory of the other lab, in whose group ``hypervisors`` the host is called ``kvm-fc``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.lab.inventory import connection
from tests.lab.kvm_san.array import NAME as ARRAY
from tests.lab.kvm_san.lab import DEFAULT_DIRECTORY, KvmSan
from tests.lab.kvm_san.machines import HOSTS
from tests.lab.launch import read_endpoints

NAME = "kvm-fc"
EMULATED_SECONDS = 300
"""What one answer of an emulated host may take."""


def inventory(lab: KvmSan) -> dict[str, Any]:
    """Return the inventory of the lab, whose array runs."""
    hypervisor = {"uri": lab.uri(HOSTS[0].name), "timeout": EMULATED_SECONDS}
    host = {"hypervisor": hypervisor, "array": connection(read_endpoints(lab.directory)[ARRAY])}
    return {"all": {"children": {"hypervisors": {"hosts": {NAME: host}}}}}


if __name__ == "__main__":
    print(json.dumps(inventory(KvmSan(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DIRECTORY)), indent=2))
