# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Hyper-V host tells its guests through the key-value pair exchange.

The daemon `hv_kvp_daemon` (Linux, tools/hv/hv_kvp_daemon.c) keeps what the host tells in pool 3, records of a 512-byte key and a 2048-byte
value (include/uapi/linux/hyperv.h), UTF-8, ended by NUL. The keys are those of Hyper-V's Data Exchange service.
"""

from __future__ import annotations

from collections.abc import Mapping

POOL = "/var/lib/hyperv/.kvp_pool_3"
_KEY = 512
_RECORD = _KEY + 2048


def parse_pool(content: bytes) -> dict[str, str]:
    """The pairs of a pool file. A record that is cut short, or has no key, is left out."""
    records = (content[start : start + _RECORD] for start in range(0, len(content) - _RECORD + 1, _RECORD))
    pairs = ((_text(record[:_KEY]), _text(record[_KEY:])) for record in records)
    return {key: value for key, value in pairs if key}


def physical_host(pairs: Mapping[str, str]) -> str:
    """The host on which the VM runs, fully qualified where the host says so."""
    return next((pairs[key] for key in ("PhysicalHostNameFullyQualified", "PhysicalHostName", "HostName") if pairs.get(key)), "")


def host_version(pairs: Mapping[str, str]) -> str:
    """The version of the host's Windows, `10.0`; empty if it does not say."""
    return ".".join(filter(None, (pairs.get("HostingSystemOsMajor"), pairs.get("HostingSystemOsMinor"))))


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
