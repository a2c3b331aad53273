# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a capture as ``virtual_block_address`` does: ``python -m tests.bench.read_capture FILE PORT`` prints how many writes it tells of."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.captured import Reading
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers


def writes_in(file: Path, port: int) -> int:
    """How many writes a capture tells of."""
    with file.open("rb") as opened:
        return len(Reading(Markers.new().find, [port], keep_writes=True).read([(opened, file.name)]).writes)


if __name__ == "__main__":
    print(writes_in(Path(sys.argv[1]), int(sys.argv[2])))
