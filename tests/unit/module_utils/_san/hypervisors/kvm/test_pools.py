# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool XML as libvirt 9.0 writes it."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import QEMU_INITIATOR, Login, Secret
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.pools import parse
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal


def test_an_iscsi_direct_pool_tells_how_qemus_own_initiator_reaches_the_array() -> None:
    found = parse(
        "<pool type='iscsi-direct'><name>san</name><source><host name='192.0.2.11' port='3260'/><device path='iqn.t'/>"
        "<auth type='chap' username='kvm'><secret usage='array'/></auth><initiator><iqn name='iqn.i'/></initiator></source></pool>"
    )
    assert found.login == Login(Portal("192.0.2.11"), "iqn.t", "iqn.i", "kvm", Secret("array"))
    assert list(found.devices) == []


def test_a_directory_has_a_place_and_nothing_under_it() -> None:
    found = parse("<pool type='dir'><name>images</name><uuid>u</uuid><source/><target><path>/images</path></target></pool>")
    assert (found.name, found.uuid, found.type, found.path, found.remote, found.login) == ("images", "u", "dir", "/images", "", None)


def test_a_network_file_system_names_its_server_and_path() -> None:
    source = "<source><host name='nfs.example.com'/><dir path='/export/vm'/><format type='nfs'/></source>"
    assert parse(f"<pool type='netfs'><name>n</name>{source}</pool>").remote == "nfs.example.com:/export/vm"


def test_a_volume_group_names_its_devices() -> None:
    source = "<source><device path='/dev/sdb'/><device path='/dev/sdc'/><name>vg0</name><format type='lvm2'/></source>"
    found = parse(f"<pool type='logical'><name>p</name>{source}<target><path>/dev/vg0</path></target></pool>")
    assert (found.group, list(found.devices), found.path) == ("vg0", ["/dev/sdb", "/dev/sdc"], "/dev/vg0")


KERNEL = parse("<pool type='iscsi'><name>i</name><source><host name='a'/><device path='iqn.t'/></source></pool>")


def test_a_kernel_iscsi_pool_is_no_login_of_qemus() -> None:
    assert KERNEL.login is None


def test_a_volume_of_an_iscsi_direct_pool_is_a_network_disk_to_qemu() -> None:
    source = "<source><host name='a'/><device path='iqn.t'/><initiator><iqn name='iqn.i'/></initiator></source>"
    direct = parse(f"<pool type='iscsi-direct'><name>d</name>{source}</pool>")
    found = direct.network_source("unit:0:0:16684", "")
    assert found is not None
    assert (found.type, found.protocol, found.name, found.login, found.lun_id) == ("network", "iscsi", "iqn.t/16684", direct.login, 16684)


def test_a_volume_of_a_kernel_iscsi_pool_is_one_only_where_its_disk_says_so() -> None:
    assert KERNEL.network_source("unit:0:0:1", "") is KERNEL.network_source("unit:0:0:1", "host") is None
    found = KERNEL.network_source("unit:0:0:1", "direct")
    assert found is not None
    assert found.login == Login(Portal("a"), "iqn.t", QEMU_INITIATOR)


def test_a_volume_by_another_name_is_none() -> None:
    assert KERNEL.network_source("unit:0:1:1", "direct") is KERNEL.network_source("disk", "direct") is None


def test_a_volume_in_a_directory_is_where_the_definition_says_whether_or_not_the_pool_runs() -> None:
    text = "<pool type='{}'><name>p</name><target><path>/srv/p/</path></target></pool>"
    assert {kind: parse(text.format(kind)).place_of("a.raw") for kind in ("dir", "fs", "netfs", "logical", "scsi", "mpath", "disk")} == {
        **dict.fromkeys(("dir", "fs", "netfs", "logical"), "/srv/p/a.raw"),
        **dict.fromkeys(("scsi", "mpath", "disk"), ""),
    }
