# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has a LUN on a KVM host beside the VMs that have it as a disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain as kvm_domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Inventory, Slot, Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import CANNOT_TELL, USED, Claim, claims
from tests.unit import libvirt
from tests.unit.iscsi_target import INITIATOR, IQN, IscsiTarget, listening
from tests.unit.kvm_host import GROUPED, MOUNTS, PORT, SAN_HOST, _block, mapped, path
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, Pool, domain_xml, network_lun, uuid_of
from tests.unit.module_utils._san.linux.machines import Link, Machine, plant
from tests.unit.ports import NAME, OTHER

pytestmark = pytest.mark.slow

VG_LUN = ScsiName(GROUPED)
SDC = f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:2/block/sdc"
"""The directory of /dev/sdc, which is the LUN OTHER, at 7:0:0:2."""
LINK = f"/dev/disk/by-id/{OTHER.wwn}"
PARTITION: Machine = {**_block("sdc1", f"{SDC}/sdc1", "8:33"), f"{SDC}/sdc1/partition": "1"}
MD = "/sys/devices/virtual/block/md0"
RAID: Machine = {**_block("md0", MD, "9:0"), f"{MD}/md/level": "raid1", f"{MD}/slaves/sdc": "", f"{SDC}/holders/md0": ""}


def vm(name: str, devices: str = "", *, runs: bool = True) -> Domain:
    xml = domain_xml(name, VIRTIO_SCSI + devices)
    return Domain(name, xml if runs else "", xml)


def kvm(
    root: Path, *domains: Domain, files: Machine | None = None, pools: Collection[Pool] = (), claimed: str = "", untold: str = ""
) -> Kvm:
    """A backend over the recorded SAN host with these VMs; `claimed` and `untold` are names of block devices."""
    plant(root, SAN_HOST, files or {})
    host = libvirt.host(Connect(list(domains), list(pools)), root, claimed.split(), untold.split())
    return Kvm(Connection("hypervisor"), host)


def told(name: ScsiName, found: Inventory) -> list[str]:
    return [str(claim) for claim in claims(name, found)]


def verdicts(name: ScsiName, found: Inventory) -> list[str]:
    return [claim.verdict for claim in claims(name, found)]


def of_vms(found: Inventory) -> list[Use]:
    return [use for use in found.uses if use.kind == "VM"]


def by_vm(name: str, how: str) -> str:
    return f"VM {name} ({uuid_of(name)}) {how}"


def refusal(hypervisor: Kvm, name: ScsiName = OTHER, to: str = "app") -> str:
    with pytest.raises(Refused) as refused:
        attach.attach(hypervisor, attach.AttachRequest(to, DiskWish(name, timeout=2)), check_mode=False)
    return str(refused.value)


def hostdev(kind: str, source: str, unit: int | None = None) -> str:
    place = "" if unit is None else f"<address type='drive' controller='0' bus='0' target='0' unit='{unit}'/>"
    return f"<hostdev mode='subsystem' type='{kind}'><source {source}</source><alias name='hostdev0'/>{place}</hostdev>"


def scsi_device(lun: int = 2, unit: int = 0) -> str:
    return hostdev("scsi", f"><adapter name='scsi_host7'/><address bus='0' target='0' unit='{lun}'/>", unit)


class TestScsiDevicesOfTheHost:
    def test_its_lun_is_a_disk_of_the_vm(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, vm("db", scsi_device()), vm("app"))
        assert told(OTHER, hypervisor.inventory(devices=False)) == [f"VM db ({uuid_of('db')})"]
        assert "is used by VM db" in refusal(hypervisor)
        (row,) = storage_map(hypervisor, [], ["db"]).mappings
        assert (row["disk"], row["kind"], row["device"], row["naa"]) == ("hostdev0", "passthrough", LINK, OTHER.naa)

    def test_its_unit_is_taken(self, tmp_path: Path) -> None:
        taken = kvm_domain.parse(vm("db", scsi_device(unit=0)).live)
        assert places.choose("db", [taken], Slot(), None).unit == 1
        with pytest.raises(Refused, match=r"SCSI\(0:0\) of VM db is taken by host device 7:0:0:2"):
            places.choose("db", [taken], Slot(0, 0), None)
        assert [list(it.units) for it in kvm(tmp_path, vm("db", scsi_device(unit=3))).inventory().virtual_machines[0].controllers] == [[3]]

    def test_the_vm_itself_is_not_given_it_again_and_it_is_not_detached_as_a_disk(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, vm("db", scsi_device()))
        assert "has LUN naa." in (said := refusal(hypervisor, to="db"))
        assert "as the SCSI device hostdev0 of host kvm01" in said
        with pytest.raises(Refused, match="as the SCSI device hostdev0 of host kvm01"):
            attach.detach(hypervisor, attach.AttachRequest("db", DiskWish(OTHER)), release=False, check_mode=False)

    def test_one_over_iscsi_is_what_its_target_shows(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({1: OTHER})) as target:
            disk = network_lun(target, 1)
            source = disk[disk.index("<source") + len("<source ") : disk.index("</source>")]
            hypervisor = kvm(tmp_path, vm("db", hostdev("scsi", source, 0)))
            assert told(OTHER, hypervisor.inventory(devices=False)) == [f"VM db ({uuid_of('db')})"]
            target.initiators.clear()
            assert verdicts(NAME, hypervisor.inventory(devices=False)) == [CANNOT_TELL]

    def test_one_that_the_host_does_not_show_may_be_any_lun(self, tmp_path: Path) -> None:
        (doubt,) = claims(OTHER, kvm(tmp_path, vm("db", scsi_device(lun=9))).inventory(devices=False))
        assert (doubt.verdict, str(doubt)) == (CANNOT_TELL, by_vm("db", "has the SCSI device 7:0:0:9, which does not show which LUN it is"))

    def test_one_that_is_no_disk_is_no_doubt(self, tmp_path: Path) -> None:
        tape = {"/sys/class/scsi_device/7:0:0:9/device/type": "1"}
        assert of_vms(kvm(tmp_path, vm("db", scsi_device(lun=9)), files=tape).inventory()) == []


def pci(address: str = "domain='0x0000' bus='0x04' slot='0x00' function='0x1'") -> str:
    return hostdev("pci", f"><address {address}/>")


def of_class(kind: str) -> Machine:
    return {"/sys/bus/pci/devices/0000:04:00.1/class": kind}


class TestAdapters:
    @pytest.mark.parametrize("kind", ["0x010000", "0x010400", "0x010700", "0x0c0400"])
    def test_a_storage_adapter_that_a_vm_has_for_itself_may_reach_any_lun(self, tmp_path: Path, kind: str) -> None:
        found = kvm(tmp_path, vm("db", pci()), files=of_class(kind)).inventory(devices=False)
        how = "has the storage adapter 0000:04:00.1 for itself, and what that reaches only its guest sees"
        assert [(claim.verdict, str(claim)) for claim in claims(OTHER, found)] == [(CANNOT_TELL, by_vm("db", how))]
        assert found.warnings == [f"VM db {how}."]

    @pytest.mark.parametrize("kind", ["0x020000", "0x030000", "0x010802", "0x010601"], ids=["network", "graphics", "NVMe", "SATA"])
    def test_another_device_reaches_none(self, tmp_path: Path, kind: str) -> None:
        found = kvm(tmp_path, vm("db", pci()), files=of_class(kind)).inventory(devices=False)
        assert (of_vms(found), found.warnings) == ([], [])

    def test_a_device_of_which_nobody_knows_what_it_is_may_be_one(self, tmp_path: Path) -> None:
        (use,) = of_vms(kvm(tmp_path, vm("db", pci())).inventory(devices=False))
        assert (use.lun, use.how) == (None, "has the PCI device 0000:04:00.1, and nobody can tell whether that is a storage adapter")

    def test_without_the_hosts_files_libvirt_tells_the_class(self) -> None:
        device = "<device><name>pci_0000_04_00_1</name><capability type='pci'><class>0x020000</class></capability></device>"
        connect = Connect([vm("db", pci())], node_devices={2: [device]})
        assert Kvm(Connection("hypervisor"), KvmHost(libvirt.session(connect), libvirt.without_files())).inventory().uses == []

    def test_what_is_behind_a_vhost_target_nobody_tells(self, tmp_path: Path) -> None:
        found = kvm(tmp_path, vm("db", hostdev("scsi_host", "protocol='vhost' wwpn='naa.5123456789abcde0'>"))).inventory()
        how = "has the vhost target naa.5123456789abcde0, and what is behind it the host does not tell"
        assert [str(claim) for claim in claims(OTHER, found)] == [by_vm("db", how)]

    def test_what_another_process_gives_to_a_vm_nobody_tells(self, tmp_path: Path) -> None:
        disk = "<disk type='vhostuser' device='disk'><source type='unix' path='/run/spdk.sock'/><target dev='vdb' bus='virtio'/></disk>"
        assert verdicts(OTHER, kvm(tmp_path, vm("db", disk)).inventory()) == [CANNOT_TELL]


MIXED = path("7:0:1:1", "sdb", "8:16", OTHER.naa)
"""The array has given the number of NAME to OTHER on one path, of which multipath took no notice."""
ON_THE_MAP = "<disk type='block' device='lun'><source dev='/dev/mapper/mpatha'/><target dev='sda' bus='scsi'/></disk>"
TAKE_IT_OUT = "take it out there (multipathd del path sdb), because writes to mpatha would reach both."


class TestMultipathDevicesWithPathsOfSeveralLuns:
    @pytest.mark.parametrize("name", [NAME, OTHER])
    def test_a_vm_that_has_one_uses_all_of_them(self, tmp_path: Path, name: ScsiName) -> None:
        (use,) = [use for use in of_vms(kvm(tmp_path, vm("db", ON_THE_MAP), files=MIXED).inventory(devices=False)) if use.lun == name]
        assert (use.name, use.doubt, use.how.partition(" (")[0]) == ("db", False, "has its disk sda on it")

    @pytest.mark.parametrize("to", ["db", "app"])
    def test_the_way_out_is_to_part_the_paths_and_not_to_remove_what_is_a_disk_of_a_vm(self, tmp_path: Path, to: str) -> None:
        said = refusal(kvm(tmp_path, vm("db", ON_THE_MAP), vm("app"), files=MIXED), NAME, to)
        assert f"Multipath device mpatha of LUN {NAME} on host kvm01 has sdb, which is another LUN by now" in said
        assert said.endswith(f"and will not be given to VM {to}: {TAKE_IT_OUT}")

    @pytest.mark.parametrize(
        ("name", "said"), [(NAME, TAKE_IT_OUT), (OTHER, "so let the host forget it first (multipath -f mpatha, and delete its paths).")]
    )
    def test_the_vm_is_not_said_to_have_lost_any_of_them(self, tmp_path: Path, name: ScsiName, said: str) -> None:
        hypervisor = kvm(tmp_path, vm("db", ON_THE_MAP), files=MIXED)
        with pytest.raises(Refused) as refused:
            attach.detach(hypervisor, attach.AttachRequest("db", DiskWish(name)), release=False, check_mode=False)
        assert str(refused.value).endswith(said)

    def test_a_path_that_the_host_has_no_more_may_be_another_lun(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, vm("db", ON_THE_MAP), files={"/sys/devices/virtual/block/dm-0/slaves/sdq": ""})
        with pytest.raises(Refused, match=r"Multipath device /dev/mapper/mpatha of LUN .* has a path that does not tell which LUN it is"):
            attach.detach(hypervisor, attach.AttachRequest("db", DiskWish(NAME)), release=False, check_mode=False)

    def test_a_volume_is_known_for_what_is_under_it(self, tmp_path: Path) -> None:
        pool = Pool("<pool type='mpath'><name>maps</name></pool>", {"mpatha": "/dev/mapper/mpatha"})
        disk = "<disk type='volume' device='lun'><source pool='maps' volume='mpatha'/><target dev='sda' bus='scsi'/></disk>"
        assert TAKE_IT_OUT in refusal(kvm(tmp_path, vm("db", disk), files=MIXED, pools=[pool]), NAME, "db")


LUN_OF_THE_HOST = f"<disk type='block' device='lun'><source dev='{LINK}'/><target dev='sda' bus='scsi'/></disk>"


class TestManagedSaveImages:
    @pytest.mark.parametrize(
        "devices",
        [
            LUN_OF_THE_HOST,
            scsi_device(),
            f"<disk type='file' device='disk'><source file='/a'/><backingStore type='block'><source dev='{LINK}'/></backingStore></disk>",
            f"<disk type='block' device='cdrom'><source dev='{LINK}'/><target dev='sdb' bus='sata'/></disk>",
        ],
        ids=["disk", "SCSI device of the host", "below a disk", "drive for media"],
    )
    def test_a_lun_that_only_the_image_has_is_used_by_its_vm(self, tmp_path: Path, devices: str) -> None:
        saved = replace(vm("db", runs=False), saved=True, image=vm("db", devices).live)
        hypervisor = kvm(tmp_path, saved, vm("app"))
        assert told(OTHER, hypervisor.inventory(devices=False)) == [by_vm("db", "has it in its managed save image")]
        assert refusal(hypervisor).endswith(": start VM db, or discard its managed save image (virsh managedsave-remove db).")

    def test_over_iscsi_its_target_tells_which_lun_it_is(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({1: OTHER})) as target:
            hypervisor = kvm(tmp_path, replace(vm("db", runs=False), saved=True, image=vm("db", network_lun(target, 1)).live))
            assert told(OTHER, hypervisor.inventory(devices=False)) == [by_vm("db", "has it in its managed save image")]
            target.initiators.clear()
            assert verdicts(OTHER, hypervisor.inventory(devices=False)) == [CANNOT_TELL]

    def test_a_lun_that_is_a_disk_of_the_configuration_too_is_told_once(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, replace(vm("db", LUN_OF_THE_HOST, runs=False), saved=True))
        assert told(OTHER, hypervisor.inventory(devices=False)) == [f"VM db ({uuid_of('db')})"]

    def test_one_that_cannot_be_read_may_have_any_lun(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, replace(vm("db", runs=False), saved=True, image=None))
        how = "has a managed save image that does not tell which LUNs are in it (virsh managedsave-remove db discards it)"
        found = hypervisor.inventory(devices=False)
        assert [(claim.verdict, str(claim)) for claim in claims(OTHER, found)] == [(CANNOT_TELL, by_vm("db", how))]
        assert found.warnings == [f"VM db {how}."]

    def test_only_a_vm_that_is_off_and_starts_again_is_asked_for_one(self, tmp_path: Path) -> None:
        vms = [vm("on"), replace(vm("transient"), config=""), vm("off", runs=False)]
        kvm(tmp_path, *vms).inventory(devices=False)
        assert [domain.asked_for_an_image for domain in vms] == [0, 0, 1]


TOP = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/images/db.snap1'/>"
TARGET = "<target dev='vda' bus='virtio'/></disk>"
BELOW = f"<format type='raw'/><source dev='{LINK}'/>"


class TestBelowADisk:
    @pytest.mark.parametrize(
        "below",
        [
            f"<backingStore type='block'>{BELOW}<backingStore/></backingStore>",
            f"<backingStore type='file'><source file='/a'/><backingStore type='block'>{BELOW}</backingStore></backingStore>",
            f"<mirror type='block' job='copy'>{BELOW}</mirror>",
        ],
        ids=["base", "base of the base", "mirror"],
    )
    def test_a_lun_below_a_disk_that_runs_is_used(self, tmp_path: Path, below: str) -> None:
        hypervisor = kvm(tmp_path, vm("db", TOP + below + TARGET), vm("app"))
        assert told(OTHER, hypervisor.inventory(devices=False)) == [by_vm("db", "has it below its disk vda")]
        assert "has it below its disk vda" in (said := refusal(hypervisor))
        assert said.endswith(": take it out of the configuration of VM db first if nobody needs it there, or name another LUN.")
        assert "has it below its disk vda" in refusal(hypervisor, to="db"), "also to the VM itself: it would have it twice"

    def test_a_data_store_is_used(self, tmp_path: Path) -> None:
        store = f"<source file='/srv/images/db.qcow2'><dataStore type='block'>{BELOW}</dataStore></source>"
        disk = f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>{store}{TARGET}"
        assert verdicts(OTHER, kvm(tmp_path, vm("db", disk)).inventory(devices=False)) == [USED]

    @pytest.mark.parametrize("below", [LINK, "/dev/sdc", f'json:{{"driver":"raw","file":{{"driver":"host_device","filename":"{LINK}"}}}}'])
    def test_a_lun_that_only_an_images_header_names_is_used(self, tmp_path: Path, below: str) -> None:
        header = b"QFI\xfb" + (2).to_bytes(4, "big") + (72).to_bytes(8, "big") + len(below).to_bytes(4, "big")
        files = {"/srv/images/db.snap1": header.ljust(72, b"\0") + below.encode()}
        hypervisor = kvm(tmp_path, vm("db", TOP + TARGET, runs=False), vm("app"), files=files)
        assert told(OTHER, hypervisor.inventory(devices=False)) == [by_vm("db", "has it below its disk vda")]
        assert "has it below its disk vda" in refusal(hypervisor)

    @pytest.mark.parametrize("below", ["iscsi://192.0.2.1/iqn.x/1", 'json:{"driver":"raw","file":{"driver":"iscsi","lun":1}}'])
    def test_a_lun_that_an_images_header_names_by_its_target_may_be_any(self, tmp_path: Path, below: str) -> None:
        header = b"QFI\xfb" + (2).to_bytes(4, "big") + (72).to_bytes(8, "big") + len(below).to_bytes(4, "big")
        files = {"/srv/images/db.snap1": header.ljust(72, b"\0") + below.encode()}
        assert verdicts(OTHER, kvm(tmp_path, vm("db", TOP + TARGET, runs=False), files=files).inventory()) == [CANNOT_TELL]

    def test_the_map_names_it(self, tmp_path: Path) -> None:
        disk = f"{TOP}<backingStore type='block'>{BELOW}</backingStore>{TARGET}"
        rows = storage_map(kvm(tmp_path, vm("db", disk)), [], ["db"]).mappings
        assert [(row["path"], row["naa"]) for row in rows] == [("/srv/images/db.snap1", ScsiName(rows[0]["naa"]).naa), (LINK, OTHER.naa)]

    def test_the_socket_of_a_helper_is_no_data(self, tmp_path: Path) -> None:
        helper = "<reservations managed='no'><source type='unix' path='/run/pr.sock' mode='client'/></reservations>"
        disk = f"<disk type='block' device='lun'><source dev='{LINK}'>{helper}</source><target dev='sda' bus='scsi'/></disk>"
        (found,) = kvm(tmp_path, vm("db", disk)).inventory().virtual_machines[0].disks
        assert (found.name, list(found.parents)) == (OTHER, [])


def volume(pool: str, name: str, mode: str = "") -> str:
    """The XML of a disk that is a volume of a storage pool."""
    source = f"<source pool='{pool}' volume='{name}'{mode and f' mode={mode!r}'}/>"
    return f"<disk type='volume' device='lun'><driver name='qemu' type='raw'/>{source}<target dev='sda' bus='scsi'/></disk>"


def iscsi_pool(target: IscsiTarget, kind: str, name: str = "san") -> Pool:
    where = f"<host name='{target.portal.address}' port='{target.portal.port}'/><device path='{IQN}'/>"
    return Pool(
        f"<pool type='{kind}'><name>{name}</name><source>{where}<initiator><iqn name='{INITIATOR}'/></initiator></source>"
        "<target><path>/dev/disk/by-path</path></target></pool>"
    )


class TestVolumesOfPools:
    @pytest.mark.parametrize(("kind", "mode"), [("iscsi-direct", ""), ("iscsi", "direct")])
    @pytest.mark.parametrize("runs", [True, False])
    def test_a_lun_that_qemu_reaches_itself_is_a_disk_of_the_vm(self, tmp_path: Path, kind: str, mode: str, runs: bool) -> None:
        with listening(IscsiTarget({300: OTHER})) as target:
            db = vm("db", volume("san", "unit:0:0:16684", mode), runs=runs)
            found = kvm(tmp_path, db, vm("app"), pools=[iscsi_pool(target, kind)]).inventory(devices=False)
        assert told(OTHER, found) == [f"VM db ({uuid_of('db')})"]
        assert told(NAME, found) == []

    def test_a_lun_that_only_a_managed_save_image_has_as_a_volume_is_used(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({1: OTHER})) as target:
            db = replace(vm("db", runs=False), saved=True, image=vm("db", volume("san", "unit:0:0:1")).live)
            found = kvm(tmp_path, db, pools=[iscsi_pool(target, "iscsi-direct")]).inventory(devices=False)
        assert told(OTHER, found) == [by_vm("db", "has it in its managed save image")]

    @pytest.mark.parametrize("kind", ["iscsi", "scsi", "mpath"])
    def test_a_volume_of_a_pool_that_does_not_tell_where_it_is_may_be_any_lun(self, tmp_path: Path, kind: str) -> None:
        pool = Pool(f"<pool type='{kind}'><name>san</name></pool>")
        hypervisor = kvm(tmp_path, vm("db", volume("san", "unit:0:0:1"), runs=False), vm("app"), pools=[pool])
        how = "has its disk sda from volume unit:0:0:1 of the pool san, which does not tell what that is"
        assert told(OTHER, hypervisor.inventory(devices=False)) == [by_vm("db", how)]
        assert how in refusal(hypervisor)

    def test_a_drive_for_media_from_a_pool_that_is_not_there_is_no_doubt(self, tmp_path: Path) -> None:
        drive = volume("gone", "debian.iso").replace("device='lun'", "device='cdrom'")
        assert of_vms(kvm(tmp_path, vm("db", drive, runs=False)).inventory(devices=False)) == []

    def test_a_volume_of_a_pool_that_is_not_there_may_be_any_lun(self, tmp_path: Path) -> None:
        found = kvm(tmp_path, vm("db", volume("gone", "a.raw"), runs=False)).inventory(devices=False)
        assert verdicts(OTHER, found) == [CANNOT_TELL]

    @pytest.mark.parametrize("xml", ["type='rbd'><name>san</name>", "type='dir'><name>san</name><target><path>/srv/images</path></target>"])
    def test_a_volume_that_is_no_lun_is_no_doubt(self, tmp_path: Path, xml: str) -> None:
        found = kvm(tmp_path, vm("db", volume("san", "a.raw"), runs=False), pools=[Pool(f"<pool {xml}</pool>")]).inventory(devices=False)
        assert of_vms(found) == []

    def test_the_lun_of_a_pool_that_is_stopped_is_used_by_it(self, tmp_path: Path) -> None:
        pool = f"<pool type='fs'><name>img</name><source><device path='{LINK}'/></source><target><path>/srv/img</path></target></pool>"
        hypervisor = kvm(tmp_path, vm("app"), pools=[Pool(pool)])
        assert "is used by fs pool file system img" in refusal(hypervisor)


class TestNumbersOfLuns:
    def test_such_a_number_of_a_scsi_device_may_be_any_lun_too(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({300: OTHER})) as target:
            disk = network_lun(target, 300)
            source = disk[disk.index("<source") + len("<source ") : disk.index("</source>")]
            found = kvm(tmp_path, vm("db", hostdev("scsi", source, 0)), vm("app")).inventory(devices=False)
        assert verdicts(OTHER, found) == [CANNOT_TELL]
        assert "QEMU sends the number 300 as bus 1, unit 44" in told(OTHER, found)[0]

    def test_a_number_that_targets_read_in_two_ways_may_be_any_lun(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({300: OTHER})) as target:
            noted = f"<alias name='ua-naa-{NAME.naa}'/>"
            found = kvm(tmp_path, vm("db", network_lun(target, 300, alias=noted)), vm("app")).inventory(devices=False)
        how = "(QEMU sends the number 300 as bus 1, unit 44; by flat addressing LUN 300 is 16684)"
        assert [str(claim) for claim in claims(OTHER, found) if claim.verdict == CANNOT_TELL] == [
            by_vm("db", f"has its disk sda from an iSCSI target that does not tell which LUN it is {how}")
        ]


class TestAnyOtherMention:
    @pytest.mark.parametrize(
        "devices",
        [
            f"<disk type='block' device='cdrom'><source dev='{LINK}'/><target dev='sdb' bus='sata'/></disk>",
            f"<emulator/></devices><os><nvram type='block'><source dev='{LINK}'/></nvram></os><devices>",
            f"<emulator/></devices><commandline><arg value='file={LINK},if=none'/></commandline><devices>",
        ],
        ids=["drive for media", "firmware", "command line"],
    )
    def test_a_lun_that_a_vms_configuration_names_is_used(self, tmp_path: Path, devices: str) -> None:
        found = kvm(tmp_path, vm("db", devices)).inventory(devices=False)
        assert told(OTHER, found) == [by_vm("db", f"names it ({LINK}) in its configuration")]

    def test_prose_is_no_use(self, tmp_path: Path) -> None:
        prose = f"<emulator/></devices><description>never {LINK}</description><devices>"
        assert of_vms(kvm(tmp_path, vm("db", prose)).inventory()) == []


class TestTheHostsKernel:
    def test_partitions_that_the_host_has_scanned_are_no_use(self, tmp_path: Path) -> None:
        assert claims(OTHER, kvm(tmp_path, files=PARTITION).inventory()) == []

    def test_what_only_an_exclusive_claim_shows_is_a_use(self, tmp_path: Path) -> None:
        pool = {**PARTITION, "/proc/1/mountinfo": MOUNTS + "\n43 27 0:60 / /tank rw - zfs tank rw,xattr"}
        hypervisor = kvm(tmp_path, vm("app"), files=pool, claimed="sdc1")
        how = "holds it open for itself, as ZFS does, or a mount inside a container"
        assert [(it.verdict, it.kind, it.how) for it in claims(OTHER, hypervisor.inventory())] == [(USED, "host", how)]
        assert "end that use first" in refusal(hypervisor)

    def test_an_array_that_is_assembled_and_claimed_is_a_use(self, tmp_path: Path) -> None:
        (claim,) = claims(OTHER, kvm(tmp_path, files=RAID, claimed="md0").inventory())
        assert (claim.verdict, claim.how, claim.way_out) == (USED, "has it in RAID /dev/md0", "")

    def test_what_the_kernel_does_not_tell_is_a_doubt_about_that_lun_alone(self, tmp_path: Path) -> None:
        found = kvm(tmp_path, untold="sdc").inventory()
        assert verdicts(OTHER, found) == [CANNOT_TELL]
        assert claims(NAME, found) == []

    def test_a_host_whose_kernel_nobody_can_ask_is_a_doubt_about_its_own_luns(self) -> None:
        disk = f"<block>/dev/sdc</block><drive_type>disk</drive_type><serial>{OTHER.wwid}</serial>"
        connect = Connect(node_devices={256: [f"<device><capability type='storage'>{disk}</capability></device>"]})
        found = Kvm(Connection("hypervisor"), KvmHost(libvirt.session(connect), libvirt.without_files())).inventory()
        assert verdicts(OTHER, found) == [CANNOT_TELL]
        assert claims(NAME, found) == []

    def test_multipath_and_its_partitions_are_no_use_of_its_paths(self, tmp_path: Path) -> None:
        part = mapped(7, "mpatha-part1", f"part1-mpath-{NAME.wwid}", "dm-0")
        assert claims(NAME, kvm(tmp_path, files=part, claimed="sda sdb dm-0").inventory()) == []
        assert verdicts(NAME, kvm(tmp_path / "b", files=part, claimed="sda sdb dm-0 dm-7").inventory()) == [USED]


def with_lun(name: str, lun: ScsiName) -> Domain:
    return vm(
        name,
        f"<disk type='block' device='lun'><source dev='/dev/disk/by-id/{lun.wwn}'/><target dev='sda' bus='scsi'/>"
        f"<alias name='ua-naa-{lun.naa}'/><address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>",
    )


LINK_TO_SDD: Machine = {f"/dev/disk/by-id/{VG_LUN.wwn}": Link("../../sdd")}
RELEASE = attach.AttachRequest("app", DiskWish(VG_LUN, timeout=2))


def host_claims(found: Inventory, name: ScsiName = VG_LUN) -> list[Claim]:
    return [claim for claim in claims(name, found) if claim.kind != "VM"]


class TestWhatTheGuestHasWritten:
    """The host has activated the volume group `vg-a`, which lies on /dev/sdd."""

    def test_a_run_that_changes_nothing_tells_how_to_let_go_of_it(self, tmp_path: Path) -> None:
        report = attach.attach(kvm(tmp_path, with_lun("app", VG_LUN), files=LINK_TO_SDD), RELEASE, check_mode=False)
        assert not report.outcome.changed
        (warning,) = report.outcome.warnings
        assert "has volume group vg-a active, which VM app has made on it and nothing on the host uses" in warning
        assert "deactivate it on kvm01 (vgchange -an vg-a) and keep that host's LVM away" in warning

    def test_the_release_is_refused_with_the_same_advice_and_never_with_to_remove_it(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"vgchange -an vg-a") as refused:
            attach.detach(kvm(tmp_path, with_lun("app", VG_LUN), files=LINK_TO_SDD), RELEASE, release=True, check_mode=True)
        assert "remove" not in str(refused.value)

    def test_without_a_vm_that_has_the_lun_it_is_nobodys_known_work_but_the_advice_stays(self, tmp_path: Path) -> None:
        hypervisor = kvm(tmp_path, vm("app"), with_lun("db", NAME), files=LINK_TO_SDD)
        said = refusal(hypervisor, VG_LUN)
        assert "has volume group vg-a active, though nothing on the host uses it" in said
        assert "vgchange -an vg-a" in said

    @pytest.mark.parametrize("reason", ["claimed", "untold", "pooled", "volume of another VM", "mounted"])
    def test_a_group_that_the_host_uses_is_the_hosts_whoever_has_the_lun(self, tmp_path: Path, reason: str) -> None:
        volume = "<disk type='block' device='disk'><source dev='/dev/vg-a/data'/><target dev='vdb' bus='virtio'/></disk>"
        others = [vm("other", volume)] if reason == "volume of another VM" else []
        source = "<source><device path='/dev/sdd'/><name>vg-a</name></source><target><path>/dev/vg-a</path></target>"
        pools = [Pool(f"<pool type='logical'><name>p</name>{source}</pool>")] if reason == "pooled" else []
        mount = {"/proc/1/mountinfo": MOUNTS + "\n44 27 254:1 / /data rw - ext4 /dev/mapper/vg--a-data rw"} if reason == "mounted" else {}
        hypervisor = kvm(
            tmp_path,
            with_lun("app", VG_LUN),
            *others,
            files={**LINK_TO_SDD, **mount},
            pools=pools,
            claimed="dm-1" if reason == "claimed" else "",
            untold="dm-1" if reason == "untold" else "",
        )
        assert "lvm file system" in {claim.kind for claim in host_claims(hypervisor.inventory())}
        assert all(not claim.way_out for claim in host_claims(hypervisor.inventory()))

    def test_a_group_in_use_on_one_of_its_luns_is_in_use_on_all(self, tmp_path: Path) -> None:
        spanned = {**LINK_TO_SDD, **mapped(8, "vg--a-more", "LVM-def", "sdc")}
        found = kvm(tmp_path, with_lun("app", VG_LUN), files=spanned, claimed="dm-8").inventory()
        assert [claim.kind for claim in host_claims(found)] == ["lvm file system"]

    def test_an_array_that_the_host_has_assembled_from_it_is_stopped(self, tmp_path: Path) -> None:
        (claim,) = host_claims(kvm(tmp_path, with_lun("app", OTHER), files=RAID).inventory(), OTHER)
        assert "has RAID /dev/md0 active, which VM app has made on it" in claim.how
        assert "mdadm --stop /dev/md0" in claim.way_out
