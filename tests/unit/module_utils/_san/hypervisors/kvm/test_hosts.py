# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a KVM host is, and its initiators, by its own files or by libvirt alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import hosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import OnlyLibvirt
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FIBRE_CHANNEL, Hba, Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import FC_HOSTS
from tests.unit import libvirt
from tests.unit.fake_ssh import fake_ssh
from tests.unit.iscsi_target import INITIATOR, IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST, WWPN
from tests.unit.libvirt import Connect
from tests.unit.module_utils._san.linux.machines import Directory, plant
from tests.unit.ports import NAME

FC_NODE = """
<device><name>scsi_host7</name><parent>pci_0000_04_00_0</parent><capability type='scsi_host'><host>7</host><unique_id>0</unique_id>
<capability type='fc_host'><wwnn>20000024ff123456</wwnn><wwpn>21000024ff123456</wwpn><fabric_wwn>2001000dec000001</fabric_wwn></capability>
<capability type='vport_ops'><max_vports>254</max_vports><vports>1</vports></capability></capability></device>"""
OF_A_VM = FC_NODE.replace("pci_0000_04_00_0", "scsi_host7").replace("<host>7", "<host>9")


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME})) as there:
        yield there


def remote(connect: Connect) -> KvmHost:
    return KvmHost(libvirt.session(connect), OnlyLibvirt(libvirt_uri.parse("qemu+tls://kvm01/system"), 1))


def qemus_own(host: KvmHost) -> Hba:
    (found,) = (hba for hba in hosts.host_with_hbas(host).hbas if hba.driver == "libiscsi")
    return found


def test_the_hosts_files_tell_speed_and_state(tmp_path: Path) -> None:
    adapters = hosts.host_with_hbas(libvirt.host(Connect(), plant(tmp_path, SAN_HOST))).hbas
    fibre = next(hba for hba in adapters if hba.kind == FIBRE_CHANNEL)
    assert (fibre.initiator, fibre.speed_gbit_s, fibre.status) == (WWPN, 16.0, "online")


def test_over_ssh_the_adapters_are_the_same_with_the_portals_that_were_discovered(tmp_path: Path) -> None:
    discovered = {
        "/var/lib/iscsi/send_targets/192.0.2.11,3260": Directory(),
        "/etc/iscsi/send_targets/2001:db8::1,3261,1/st_config": "password",
    }
    root = plant(tmp_path / "host", SAN_HOST, discovered)
    fake = fake_ssh(tmp_path / "bin", root)
    with closing(fake.access()) as access:
        seen = hosts.host_with_hbas(KvmHost(libvirt.session(Connect()), access)).hbas
        copy = access.root()
        assert copy is not None
        assert not list(copy.rglob("st_config")), "what open-iscsi keeps there may be a password"
    own = hosts.host_with_hbas(libvirt.host(Connect(), root)).hbas
    assert seen == own
    kernels = next(hba for hba in own if hba.driver == "iscsi_tcp")
    assert list(kernels.portals) == [Portal("2001:db8::1", 3261), Portal("192.0.2.11", 3260)]


def test_libvirt_alone_tells_names_and_leaves_out_what_belongs_to_a_vm() -> None:
    (fibre,) = hosts.host_with_hbas(remote(Connect(node_devices={FC_HOSTS: [FC_NODE, OF_A_VM]}))).hbas
    assert (fibre.name, fibre.kind, fibre.initiator, fibre.pci) == ("host7", FIBRE_CHANNEL, WWPN, "0000:04:00.0")
    assert (fibre.status, fibre.speed_gbit_s, list(fibre.paths)) == ("unknown", None, [])


def test_pools_of_one_initiator_are_one_adapter(target: IscsiTarget) -> None:
    found = qemus_own(remote(Connect(pools=[libvirt.san_pool(target, "a"), libvirt.san_pool(target, "b")])))
    assert (found.initiator, found.status, list(found.portals)) == (INITIATOR, "online", [target.portal])
    assert [(path.name, path.lun_id, path.state) for path in found.paths] == [(NAME, 1, "active")]


def test_an_initiator_that_is_not_admitted_yet_is_still_one(target: IscsiTarget) -> None:
    target.initiators.clear()
    found = qemus_own(remote(Connect(pools=[libvirt.san_pool(target)])))
    assert (found.initiator, found.status, list(found.paths)) == (INITIATOR, "online", [])


def test_an_initiator_whose_portals_are_silent_is_offline() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        silent = IscsiTarget(portal=Portal("127.0.0.1", free.getsockname()[1]))
        assert qemus_own(remote(Connect(pools=[libvirt.san_pool(silent)]))).status == "offline"


def test_the_host_is_what_libvirt_calls_it() -> None:
    host = hosts.host_of(remote(Connect()))
    assert (host.id, host.name, host.version, host.cluster) == (libvirt.HOST_UUID, "kvm01", "7.2.22", "")
