# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pool XML as libvirt 9.0 writes it."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, Secret
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


def test_a_kernel_iscsi_pool_is_no_login_of_qemus() -> None:
    source = "<source><host name='a'/><device path='iqn.t'/></source>"
    assert parse(f"<pool type='iscsi'><name>i</name>{source}</pool>").login is None
