# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a disk of a VM that really runs, and is taken back: real libvirt, real QEMU, a real iSCSI target, a guest's own kernel."""

from __future__ import annotations

import re
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kvm_world, world
from tests.lab.kvm.daemon import eventually
from tests.live.lab import KvmLab
from tests.live.modules import ModuleRunner, Result

LEDGER = world.naa_at(kvm_world.lun_path("kvm_ledger"))
GUEST, OTHER = "lnx01", "lnx02"
SECONDS = 600.0


@pytest.fixture
def naa(kvm: KvmLab, modules: ModuleRunner) -> str:
    """A new LUN that the host's initiator sees."""
    lun = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "disk", "size": "64MiB", "os_type": "linux"}
    access = {"initiators": [kvm.initiator], "igroup": kvm_world.GROUP, "lun_id": 5}
    found: str = modules.succeed("lun_provision", {"array": kvm.array, **lun, **access})["naa"]
    return found


def disk(kvm: KvmLab, vm: str, naa: str, **options: Any) -> dict[str, Any]:
    """Arguments of ptd_attach."""
    return {"hypervisor": kvm.hypervisor, "vm": vm, "naa": naa, "timeout": 600, **options}


def names_in(kvm: KvmLab, guest: str) -> list[str]:
    """The identities of the SCSI disks, as the guest's kernel reads them."""
    return kvm.guest(guest, "cat /sys/class/scsi_device/*/device/wwid 2>/dev/null || true").split()


def devices(kvm: KvmLab, vm: str) -> Any:
    return kvm.domains()["domains"][vm]


def attached(modules: ModuleRunner, kvm: KvmLab, vm: str, naa: str, **options: Any) -> Result:
    return modules.succeed("ptd_attach", disk(kvm, vm, naa, **options))


def test_the_guest_sees_the_lun_by_the_name_that_was_asked_for(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    result = attached(modules, kvm, GUEST, naa)
    assert (result["changed"], result["disk"]["mode"], result["disk"]["size_bytes"]) == (True, "physical", 64 << 20)
    assert kvm.device(GUEST, naa) == "/dev/sda"
    assert kvm.guest(GUEST, "cat /sys/block/sda/device/vendor /sys/block/sda/device/model").split() == ["NETAPP", "LUN", "C-Mode"]


def test_a_second_run_changes_nothing(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    attached(modules, kvm, GUEST, naa)
    before = kvm.domains()
    again = attached(modules, kvm, GUEST, naa)
    assert (again["changed"], again["actions"], kvm.domains()) == (False, [], before)


def test_check_mode_tells_but_changes_nothing(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    before = kvm.domains()
    result = modules.succeed("ptd_attach", disk(kvm, GUEST, naa), check=True)
    assert (result["changed"], result["actions"]) == (True, [f"attach LUN naa.{naa} to VM {GUEST} as SCSI(0:0)"])
    assert kvm.domains() == before


@pytest.mark.parametrize("vm", [GUEST, "noscsi01"])
def test_check_mode_tells_of_a_second_disk_before_there_is_a_lun(kvm: KvmLab, modules: ModuleRunner, vm: str) -> None:
    before, lun = kvm.domains(), f"svm_san:{kvm_world.lun_path('planned')}"
    asked = {"hypervisor": kvm.hypervisor, "vm": vm, "planned_lun": lun, "planned_disks": [{"place": "SCSI(0:0)"}], "timeout": 600}
    result = modules.succeed("ptd_attach", asked, check=True)
    (host,) = result["hosts"]
    assert result["actions"] == [f"rescan {host} for LUN {lun}", f"attach LUN {lun} to VM {vm} as SCSI(0:1)"]
    assert kvm.domains() == before
    assert "planned_lun only tells in check mode" in modules.fail("ptd_attach", {**asked, "planned_disks": []})


def test_the_host_does_not_wait_for_a_lun_that_the_array_does_not_map_to_it(kvm: KvmLab, modules: ModuleRunner) -> None:
    stranger = {"initiators": ["iqn.2026-01.com.example:stranger"], "igroup": "strangers", "lun_id": 5}
    lun = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "elsewhere", "size": "64MiB", "os_type": "linux"}
    other = modules.succeed("lun_provision", {"array": kvm.array, **lun, **stranger})["naa"]
    message = modules.fail("ptd_attach", disk(kvm, GUEST, other, array=kvm.array, timeout=600))
    assert f"LUN naa.{other} (svm_san:{kvm_world.lun_path('elsewhere')}) is mapped to no initiator of" in message


def test_a_second_vm_is_refused_and_told_who_has_it(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    attached(modules, kvm, GUEST, naa)
    before = kvm.domains()
    assert f"is used by VM {GUEST} (" in modules.fail("ptd_attach", disk(kvm, OTHER, naa))
    assert kvm.domains() == before


def test_a_lun_that_a_vm_has_as_a_device_of_the_host_is_not_given_away_over_the_network(kvm: KvmLab, modules: ModuleRunner) -> None:
    assert "is used by VM ledger01 (" in modules.fail("ptd_attach", disk(kvm, GUEST, LEDGER))


HOSTDEV = """<controller type='scsi' model='virtio-scsi'/>
<hostdev mode='subsystem' type='scsi'><source protocol='iscsi' name='{target}/5'><host name='{address}' port='{port}'/>
<initiator><iqn name='{initiator}'/></initiator></source></hostdev>"""
OVERLAY = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{overlay}'/>
<target dev='vda' bus='virtio'/></disk>"""
DRIVE = """<disk type='block' device='cdrom'><source dev='{device}'/><target dev='sda' bus='sata'/><readonly/></disk>"""


@pytest.fixture
def virsh(kvm: KvmLab) -> Callable[..., None]:
    """Change the host by libvirt's own tool."""

    def virsh(*arguments: str, check: bool = True) -> None:
        subprocess.run(["virsh", "--quiet", "--connect", kvm.hypervisor["uri"], *arguments], check=check, capture_output=True, timeout=300)

    return virsh


@pytest.fixture
def define(virsh: Callable[..., None]) -> Iterator[Callable[[str], None]]:
    """Define a VM that is off, with these devices, by the name of `evidence01`."""
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:

        def define(devices: str) -> None:
            about = "<name>evidence01</name><memory>65536</memory><os><type>hvm</type></os>"
            machine = f"<domain type='qemu'>{about}<devices>{devices}</devices></domain>"
            file.write(machine)
            file.flush()
            virsh("define", file.name)

        yield define
    virsh("destroy", "evidence01", check=False)
    virsh("undefine", "evidence01", "--managed-save", check=False)


@pytest.mark.parametrize(
    ("devices", "how"),
    [(HOSTDEV, ""), (OVERLAY, "has it below its disk vda"), (DRIVE, "names it (/dev/disk/by-id/wwn-0x")],
    ids=["SCSI device of the host", "below an image", "drive for media"],
)
def test_a_lun_that_a_vm_has_in_another_way_than_as_a_disk_is_refused_too(
    kvm: KvmLab, modules: ModuleRunner, naa: str, define: Callable[[str], None], tmp_path: Path, devices: str, how: str
) -> None:
    device, overlay = f"/dev/disk/by-id/wwn-0x{naa}", tmp_path / "overlay.qcow2"
    image = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", device, str(overlay), "64M"]
    subprocess.run(image, check=True, capture_output=True)
    result = modules.succeed("hba_info", {"hypervisor": kvm.hypervisor, "kinds": ["iscsi_software"]})
    (adapter,) = (hba for hba in result["hosts"][0]["hbas"] if hba["driver"] == "libiscsi")
    where = {"target": adapter["paths"][0]["target"], **adapter["portals"][0]}
    define(devices.format(device=device, overlay=overlay, initiator=kvm.initiator, **where))
    before = kvm.domains()
    message = modules.fail("ptd_attach", disk(kvm, GUEST, naa))
    assert "is used by VM evidence01 (" in message
    assert how in message
    assert kvm.domains() == before


def test_a_mounted_disk_is_not_detached_and_an_unmounted_one_is(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    before = devices(kvm, GUEST)
    attached(modules, kvm, GUEST, naa)
    device = kvm.device(GUEST, naa)
    kvm.guest(GUEST, f"mkfs.ext4 -q {device} && mount {device} /mnt && echo kept >/mnt/file")
    told = modules.succeed("vm_storage_map", {"hypervisor": kvm.hypervisor, "vms": [GUEST], "image_details": True})
    assert {one["disk"]: one["mounts"] for one in told["virtual_machines"][0]["disks"]} == {"vda": ["/"], "sda": ["/mnt"]}
    away = disk(kvm, GUEST, naa, state="absent", release=True)
    assert f"LUN naa.{naa} is mounted in VM {GUEST} at /mnt: unmount it there first" in modules.fail("ptd_attach", away)
    assert kvm.guest(GUEST, "cat /mnt/file; umount /mnt").strip() == "kept"
    assert modules.succeed("ptd_attach", away)["changed"]
    assert not modules.succeed("ptd_attach", away)["changed"]
    assert devices(kvm, GUEST) == before
    eventually(lambda: names_in(kvm, GUEST) == [], SECONDS, f"{GUEST} still has the LUN")


def test_a_lun_that_a_suspended_guest_has_used_is_detached_once_it_runs_again(
    kvm: KvmLab, modules: ModuleRunner, naa: str, virsh: Callable[..., None]
) -> None:
    attached(modules, kvm, GUEST, naa)
    kvm.guest(GUEST, f"head -c 512 {kvm.device(GUEST, naa)} >/dev/null")
    virsh("suspend", GUEST)
    try:
        said = modules.fail("ptd_attach", disk(kvm, GUEST, naa, state="absent"))
    finally:
        virsh("resume", GUEST)
    assert f"VM {GUEST} is suspended, so that nobody can tell whether LUN naa.{naa} is mounted there: resume it" in said
    assert attached(modules, kvm, GUEST, naa, state="absent")["changed"]


def test_a_lun_in_a_managed_save_image_is_neither_detached_nor_given_to_another_vm(
    kvm: KvmLab, modules: ModuleRunner, naa: str, virsh: Callable[..., None], define: Callable[[str], None]
) -> None:
    define("<controller type='scsi' model='virtio-scsi'/>")
    virsh("start", "evidence01", "--paused")
    attached(modules, kvm, "evidence01", naa)
    virsh("managedsave", "evidence01")
    for with_it in ("image and configuration", "image"):
        if with_it == "image":
            virsh("detach-disk", "evidence01", "sda", "--config")
        said = modules.fail("ptd_attach", disk(kvm, "evidence01", naa, state="absent"))
        assert "VM evidence01 is saved to disk with the devices that it had" in said, with_it
    said = modules.fail("ptd_attach", disk(kvm, GUEST, naa))
    assert "is used by VM evidence01 (" in said
    assert "has it in its managed save image" in said
    virsh("managedsave-remove", "evidence01")
    assert not attached(modules, kvm, "evidence01", naa, state="absent")["changed"]
    assert attached(modules, kvm, GUEST, naa)["changed"]


@pytest.mark.parametrize(("agent", "refused"), [("hung", True), ("stopped", False)])
def test_an_agent_that_hangs_does_not_tell_what_is_mounted_and_one_that_has_ended_is_not_asked(
    kvm: KvmLab, modules: ModuleRunner, naa: str, agent: str, refused: bool
) -> None:
    attached(modules, kvm, GUEST, naa)
    kvm.agent(GUEST, agent)
    try:
        told = (modules.fail if refused else modules.succeed)("ptd_attach", disk(kvm, GUEST, naa, state="absent"))
    finally:
        kvm.agent(GUEST, "running")
    assert f"The guest agent of VM {GUEST} did not answer within 30 s" in told if isinstance(told, str) else told["changed"]


def test_a_vm_that_is_off_gets_a_controller_and_the_disk_for_its_next_start(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    before = devices(kvm, "noscsi01")
    result = attached(modules, kvm, "noscsi01", naa)
    assert result["actions"] == ["add SCSI controller 0 (virtio-scsi) to VM noscsi01", f"attach LUN naa.{naa} to VM noscsi01 as SCSI(0:0)"]
    after = devices(kvm, "noscsi01")
    assert after["persistent"]["scsi_controllers"] == [{"index": "0", "model": "virtio-scsi"}]
    (added,) = [one for one in after["persistent"]["disks"] if one not in before["persistent"]["disks"]]
    assert {key: added[key] for key in ("device", "target", "controller", "unit", "alias")} == {
        "device": "lun",
        "target": "sda",
        "controller": "0",
        "unit": "0",
        "alias": f"ua-naa-{naa}",
    }
    assert after["state"] == before["state"] == "shut off"


def test_a_transient_vm_gets_the_disk_while_it_runs(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    assert attached(modules, kvm, "transient01", naa)["changed"]
    assert not attached(modules, kvm, "transient01", naa)["changed"]
    assert attached(modules, kvm, "transient01", naa, state="absent")["changed"]


def test_a_pvscsi_controller_addresses_by_target(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    result = attached(modules, kvm, "legacy01", naa, place="SCSI(0:9)")
    assert (result["disk"]["controller_type"], result["disk"]["bus"], result["disk"]["unit"]) == ("pvscsi", 0, 9)


def test_a_running_vm_without_a_free_port_is_refused_with_the_way_out(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    before = kvm.domains()
    message = modules.fail("ptd_attach", disk(kvm, "crowded01", naa))
    assert "without a free PCI Express port" in message
    assert "power it off" in message
    assert kvm.domains() == before


def test_an_array_that_is_down_leaves_nothing_half_made(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    before = kvm.domains()
    kvm.data_plane("killed")
    try:
        message = modules.fail("ptd_attach", disk(kvm, GUEST, naa, timeout=1))
    finally:
        kvm.data_plane("running")
    assert re.search("cannot be reached: Connection refused|broke off", message), message
    assert kvm.domains() == before
    assert attached(modules, kvm, GUEST, naa)["changed"]


def test_an_initiator_that_the_array_does_not_know_is_told(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    import libvirt

    connection = libvirt.open(kvm.hypervisor["uri"])
    pool = connection.storagePoolLookupByName(kvm_world.SAN_POOL)
    stranger = pool.XMLDesc(0).replace(kvm.initiator, "iqn.2026-01.com.example:stranger")
    pool.undefine()
    connection.storagePoolDefineXML(stranger)
    connection.close()
    message = modules.fail("ptd_attach", disk(kvm, GUEST, naa, timeout=1))
    assert "does not let initiator iqn.2026-01.com.example:stranger in (status 515): map the LUN to that initiator" in message


def test_a_lun_that_is_not_mapped_is_not_attached(kvm: KvmLab, modules: ModuleRunner) -> None:
    message = modules.fail("ptd_attach", disk(kvm, GUEST, "600a0980" + "41" * 12, timeout=0.5))
    assert "is not visible on" in message
    assert "check that it is online on the array and mapped to the initiators" in message


def test_a_chap_secret_that_the_target_does_not_take_is_told(kvm: KvmLab, modules: ModuleRunner, naa: str) -> None:
    import libvirt

    before = kvm.domains()["domains"]
    kvm.require_chap("kvm01", secrets.token_hex(8))
    try:
        assert "refuses a login without CHAP" in modules.fail("ptd_attach", disk(kvm, GUEST, naa, timeout=1))
        connection = libvirt.open(kvm.hypervisor["uri"])
        usage = "<secret ephemeral='yes' private='no'><usage type='iscsi'><target>chap</target></usage></secret>"
        connection.secretDefineXML(usage).setValue(secrets.token_hex(8).encode())
        pool = connection.storagePoolLookupByName(kvm_world.SAN_POOL)
        login = "<auth type='chap' username='kvm01'><secret usage='chap'/></auth></source>"
        with_login = pool.XMLDesc(0).replace("</source>", login)
        pool.undefine()
        connection.storagePoolDefineXML(with_login)
        connection.close()
        vouched = disk(kvm, GUEST, naa, timeout=1, assume_unused=True)  # for archive01, whose disk has no login that the target takes
        assert "refuses the CHAP secret of user kvm01" in modules.fail("ptd_attach", vouched)
        assert kvm.domains()["domains"] == before
    finally:
        kvm.require_chap()
