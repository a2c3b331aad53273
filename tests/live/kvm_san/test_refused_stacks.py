# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Devices of a real device mapper that move blocks, or change them on their way: of an image on one, no address is told."""

from __future__ import annotations

import pytest

from tests.lab.kvm_san.lab import KvmSan
from tests.live.kvm_san.volumes_on_luns import GROUP, Host
from tests.live.modules import ModuleRunner

VOLUMES = f"""
for name in pool fast slow secret; do lvcreate -q -y -l 2 -n $name {GROUP}; done
for name in meta about; do lvcreate -q -y -l 1 -n $name {GROUP}; dd if=/dev/zero of=/dev/{GROUP}/$name bs=64k count=1 status=none; done
"""
SECTORS = 16384
KEY = "$(head -c 64 /dev/urandom | od -An -v -tx1 | tr -d ' \\n')"
BUILT = {
    "thin": f"""
dmsetup create pool --table '0 {SECTORS} thin-pool /dev/{GROUP}/meta /dev/{GROUP}/pool 128 0' && dmsetup message pool 0 'create_thin 0' &&
dmsetup create thin --table '0 {SECTORS} thin /dev/mapper/pool 0'""",
    "crypt": f'dmsetup create crypt --table "0 {SECTORS} crypt aes-xts-plain64 {KEY} 0 /dev/{GROUP}/secret 0"',
    "cache": "dmsetup create cache --table "
    f"'0 {SECTORS} cache /dev/{GROUP}/about /dev/{GROUP}/fast /dev/{GROUP}/slow 128 1 writeback default 0'",
}
"""By target of device mapper, what makes a device of that name."""


@pytest.fixture(scope="module")
def host(running_kvm_san: KvmSan, modules: ModuleRunner) -> Host:
    host = Host(running_kvm_san, modules, "blocks02", dict.fromkeys(BUILT, "raw"))
    host.prepare()
    host.run(VOLUMES)
    for name, made in BUILT.items():
        host.run(made)
        host.mount(f"/dev/mapper/{name}", name)
        host.run(f"head -c 65536 /dev/urandom >/srv/{name}/disk")
    host.define()
    return host


@pytest.mark.parametrize("name", BUILT)
def test_what_moves_or_changes_blocks_on_its_way_is_refused(host: Host, name: str) -> None:
    (row,) = host.addresses(name, offsets=[0])
    assert (row["state"], row["lba"], row["naa"]) == ("no_address", None, "")
    assert f"{name} is of kind {name} in the device mapper, which has no addresses that stay" in row["reason"]
