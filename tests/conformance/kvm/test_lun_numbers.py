# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The number by which a disk names a LUN to QEMU's own initiator leads to that LUN, also where the LUN id needs more than one octet."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.targets import source_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi
from tests.lab.ontap.data_plane.tgt import Tgt
from tests.lab.packages import install
from tests.lab.ports import LISTEN

from .conftest import TOOLS

TARGET, INITIATOR = "iqn.2026-01.com.example:numbers", "iqn.2026-01.com.example:kvm01"
LUN_IDS = (44, 255, 300, 4095)
"""Without flat addressing 300 is bus 1, unit 44, and 4095 bus 15, unit 255."""
BYTES = 1 << 20


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A target with disks that hold nothing but their LUN ids."""
    install(["tgt", *TOOLS])
    directory = tmp_path_factory.mktemp("tgt")
    target = Tgt(directory)
    target.start()
    target.add_target(1, TARGET, INITIATOR)
    for lun_id in LUN_IDS:
        disk = directory / f"{lun_id}"
        disk.write_bytes(b"%016d" % lun_id * (BYTES // 16))
        target.add_unit(1, lun_id, disk, [("vendor_id", "NETAPP")])
    yield Portal(LISTEN, target.port)
    target.stop()


def test_qemu_reads_from_the_source_of_a_disk_what_the_lun_of_that_id_holds(portal: Portal, tmp_path: Path) -> None:
    login = Login(portal, TARGET, INITIATOR)
    found = iscsi.luns(iscsi.IscsiPath(portal, TARGET, INITIATOR), iscsi.dial_directly(10))
    assert {lun.number: read(login, source_of(login, lun).lun_id, tmp_path) for lun in found} == {lun_id: lun_id for lun_id in LUN_IDS}


def test_the_bare_lun_id_leads_to_another_one(portal: Portal, tmp_path: Path) -> None:
    assert read(Login(portal, TARGET, INITIATOR), 300, tmp_path) == 44


def read(login: Login, number: int, directory: Path) -> int:
    """What a disk of this number holds, by QEMU's own initiator."""
    where = f"file.portal={login.portal.address}:{login.portal.port},file.target={login.target},file.lun={number}"
    image = f"driver=raw,file.driver=iscsi,file.transport=tcp,file.initiator-name={login.initiator},{where}"
    copy = directory / "copy"
    command = ["qemu-img", "dd", "-U", "--image-opts", "bs=16", "count=1", f"if={image}", f"of={copy}"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600)
    return int(copy.read_bytes()[:16])
