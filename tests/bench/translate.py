# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every block of an image down to its device, as a KVM host is asked for it: its own Python reads, ours puts together.

``python -m tests.bench.translate IMAGE FORMAT BYTES`` prints how many ranges have an address.
"""

from __future__ import annotations

import inspect
import json
import sys

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import ThisMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe

SECONDS = 300.0


def addressed(image: str, kind: str, size: int) -> int:
    """Translate the whole image; return how many ranges of it have an address."""
    question = {"files": [image]} if kind == "raw" else {"images": [[image, kind]]}
    told = ThisMachine(SECONDS).ask(inspect.getsource(block_probe), json.dumps(question).encode(), SECONDS)
    return sum(extent.offset is not None for extent in Descent(json.loads(told)).image(image, kind, size))


if __name__ == "__main__":
    print(addressed(sys.argv[1], sys.argv[2], int(sys.argv[3])))
