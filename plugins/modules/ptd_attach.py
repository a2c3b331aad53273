#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module ptd_attach."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ptd_attach
short_description: Attach a LUN to a VM as a pass-through disk
version_added: 0.1.0
description:
  - Gives a VM a LUN of its own, on VMware as a raw device mapping (RDM), on Hyper-V as a pass-through disk, or takes it back.
  - On KVM, the VM gets the host's device of the LUN, by multipath where there is more than one path (O(single_path)); where the
    host has none, it gets the LUN over QEMU's own iSCSI initiator, which is configured as a storage pool of type C(iscsi-direct) on the
    host. What runs and what starts next time are changed together. A LUN that the guest agent tells to be mounted is not detached, nor
    one that a suspended VM may have mounted, nor any from a VM that is off by C(virsh managedsave).
  - The LUN is named by its identity, never by a number, a slot or a size; what is attached is read back and compared.
  - Before the disk is attached, every host that can run the VM must see the LUN; only those that do not are rescanned.
  - A LUN that another VM or a file system of the hosts uses is refused, naming the user.
  - If a step fails, what this run has done is undone.
  - An option that means nothing on the platform is an error that names it. On Hyper-V, those are O(disk_mode), O(datastore),
    O(mode=virtual), O(sharing=multi_writer) and O(sharing=physical_bus).
  - On Xen, a LUN over iSCSI is taken from the pool's storage repository of type C(iscsi) for the array's target. One that is there is
    adopted, with its PBD plugged in on every host. Where there is none, it is made, shared by all hosts, of the target that O(iscsi) or
    O(array) names, and it is taken back when the last LUN on it is released. Such a repository lists every LUN of the target that the
    hosts are shown, and each can be attached by anybody; this module refuses one that anything in the pool uses, or that carries a storage
    repository of another pool.
  - On Xen, O(place) is V(SCSI(0:n)), the device number of the disk, which Linux calls C(xvda) for 0, C(xvdb) for 1 and so on. A snapshot of
    a VM with a LUN as a disk is refused by XAPI. Nothing of this was ever run on a XenServer or XCP-ng host, only on a simulated one.
  - On Hyper-V, the LUN is offline on the host as long as a VM has it, and after it was taken back; one that is online there
    and has volumes is refused. Nothing of this was ever run on a Windows host, only on a simulated one.
options:
  vm:
    description:
      - Name, UUID or identifier of the VM. A name that fits several VMs is an error that lists them.
    type: str
    required: true
  naa:
    description:
      - The LUN, by its identity in any spelling that a tool prints - V(naa.600a...), V(wwn-0x600a...), a multipath WWID,
        a V(vml.) name, a Windows UniqueId.
    type: str
    aliases: [lun]
  serial:
    description:
      - The LUN, by its NetApp ONTAP serial number of 12 characters.
    type: str
  planned_lun:
    description:
      - In check mode, in place of O(naa) and O(serial), a LUN that does not exist yet, by what it will be called, such as
        V(svm_san:/vol/vol_prod/app01_data). It tells what attaching the LUN would do once it is made, and refuses what would be refused
        then.
      - Of such a LUN nobody has anything; O(assume_unused=true) says so where a host or a VM cannot be asked.
    type: str
  planned_disks:
    description:
      - In check mode, other LUNs that the VM shall get or lose before it gets this one, in their order. Each that it gets takes a place
        from this disk unless the VM has it already, so that asking for the last of several tells whether there is room for all.
    type: list
    elements: dict
    default: []
    suboptions:
      naa:
        description:
          - The LUN, by its identity in any spelling. Left out or empty for one that does not exist yet, which the VM cannot lose.
        type: str
      place:
        description:
          - Where to put it, as O(place). Left out or empty for the first free unit.
        type: str
      state:
        description:
          - Whether the VM shall get it or lose it.
        type: str
        choices: [present, absent]
        default: present
  state:
    description:
      - With V(present), the LUN is a disk of the VM.
      - With V(absent), it is not, and its mapping file is gone; the data on the LUN stays.
      - With V(released), no host uses the LUN any more, so that it can be unmapped. It is refused while any VM has it, also O(vm).
      - With V(forgotten), after the array has unmapped a released LUN, no host remembers it.
    type: str
    choices: [present, absent, released, forgotten]
    default: present
  place:
    description:
      - Where to put the disk, as V(SCSI(1:3)), or V(SCSI(1)) for the first free unit of a bus.
      - Without it, the first free unit of a controller with room; a controller is added when none has, on Hyper-V to a VM that is off.
      - A disk that is attached elsewhere is not moved; that is an error.
    type: str
  controller_type:
    description:
      - The controller to prefer, and to add when one is needed; without it, the platform's best.
      - That is V(pvscsi) on VMware and V(virtio-scsi) on KVM. Hyper-V has only V(scsi), Xen only V(xenbus).
      - V(buslogic) is VMware's alone, V(virtio-scsi) KVM's.
    type: str
    choices: [pvscsi, lsilogic, lsilogicsas, buslogic, scsi, virtio-scsi, xenbus]
  mode:
    description:
      - Compatibility mode. With V(physical), the guest speaks to the array itself; with V(virtual), snapshots of the VM include the disk.
      - Without it, V(physical) for a new disk, and an existing one is left as it is.
    type: str
    choices: [physical, virtual]
  disk_mode:
    description:
      - How the disk takes part in snapshots; without it, the platform's default, and an existing disk is left as it is.
    type: str
    choices: [persistent, independent_persistent, independent_nonpersistent]
  sharing:
    description:
      - With V(multi_writer), several VMs may write to the LUN at the same time, and it may be attached although other VMs have it.
      - With V(physical_bus), on VMware only, the LUN is a disk of the nodes of a guest cluster, such as a Windows Server Failover
        Cluster or SLES High Availability, which guard it by persistent reservations. Each node has it in physical mode, by the
        mapping file of the first node, on a SCSI controller with physical bus sharing. Ask for it alike for every node; the mapping
        file goes with the last one.
      - For V(physical_bus), a controller that shares its bus is chosen, or added on one of the buses 1 to 3. One that is there is
        never changed. The second node gets the LUN at the place of the first, unless O(place) names another. A VM that has to get the
        controller must be off, and must not have snapshots.
      - An ordinary disk is never given to a controller that shares its bus.
      - Without it, a new disk is not shared, and an existing one is left as it is.
    type: str
    choices: [none, multi_writer, physical_bus]
  reservations:
    description:
      - On KVM, whether the guest's persistent reservations (SCSI-3 PR) reach the array, by which the nodes of a guest cluster, such as a
        Windows Server Failover Cluster or SLES High Availability, fence each other. Each node gets the LUN with this and with
        O(sharing=multi_writer).
      - The disk is put on a V(virtio-scsi) controller. Reservations are sent by QEMU's C(qemu-pr-helper), which libvirt starts and which
        has to be installed on the host. A LUN that VMs reach over QEMU's own iSCSI initiator needs none of this, and is refused with it.
      - For a LUN that the host has by multipath, that helper has to be one that was built with C(libmpathpersist), and C(multipath.conf)
        needs a C(reservation_key). Debian 12's is built without, and registers a guest's key on one path alone, so that the array refuses
        what the guest writes over the others. Where the helper is another, or cannot be looked at, there is a warning.
      - On VMware, O(sharing=physical_bus) includes it; on Hyper-V, a disk that is passed through has no such setting. Both refuse it.
      - Without it, not for a new disk, and an existing one is left as it is.
    type: bool
  single_path:
    description:
      - What to do on KVM, where a VM would get, or has, one path to a LUN in place of the multipath device over all of them, and stops when
        that path is lost.
      - A host is taken to have several paths when multipathd runs there, when it sees the LUN by more than one, or when more than one way
        leads to the array. For the multipath device there is a minute of O(timeout).
      - With V(refuse), no VM gets a LUN by one path there, and of a disk that a VM has so there is a warning.
      - No VM gets a LUN either whose name there is none on another host to which it may move (O(hypervisors)), because that one has it by
        one path and this one by multipath, or over QEMU's own initiator. Of a disk that a VM has so there is a warning.
      - With V(allow), your word that one path will do; what other hosts have by another name is a warning.
      - With V(mend), a disk that a VM has by one path is taken away and given back at the same place by the multipath device. It is refused
        unless the VM is off or its guest agent says that the LUN is not mounted.
      - On other platforms it has no effect.
    type: str
    choices: [refuse, allow, mend]
    default: refuse
  datastore:
    description:
      - Datastore for the mapping file; without it, the one that holds the VM's own files.
    type: str
  fc_method:
    description:
      - On Xen only, how a LUN over Fibre Channel becomes a disk.
      - With V(sr), the only way that its vendor supports, the LUN becomes a storage repository (C(lvmohba)) of its own with one raw volume,
        so that the guest sees a disk on the LUN and not the LUN itself. A LUN that is none yet is written to only with O(initialize=true);
        one that was released before is taken up again, with its data.
      - With V(hba) and V(udev), which the vendor does not support, the guest gets the LUN itself. What an SR of the pool lies on is refused
        as ever. There is no way back once the hosts have begun to let go of it (O(release)).
      - With V(hba), the driver of that name hands it on, which chooses a LUN by size alone. It is asked only where the LUN is the only one
        of its size that nobody has, and what it took is read back and given back when it is another. The pool's repository of that type is
        adopted, or made and taken back.
      - With V(udev), the device of the VM's own host is introduced by its path. The VM runs on this host alone then; high availability
        refuses it. The repository that is made for it must not be scanned by anybody, because that driver forgets what is no file of its
        directory, also while a VM uses it.
      - Over iSCSI, a guest gets the LUN itself, and this option has no effect.
      - Without it, V(sr).
    type: str
    choices: [sr, hba, udev]
  iscsi:
    description:
      - On Xen only, where the LUN is shown over iSCSI, for a pool that has no storage repository of that target yet. Elsewhere it has no
        effect, because hosts know their targets themselves.
      - What is left out is asked of O(array), which knows the targets of the SVM that has the LUN and has mapped it to an iSCSI initiator.
    type: dict
    suboptions:
      address:
        description:
          - A portal of the target, by name or address.
        type: str
      port:
        description:
          - The port of O(iscsi.address); without it, 3260.
        type: int
      target:
        description:
          - The target's iSCSI name (IQN). Without it, the one behind O(iscsi.address) that shows the LUN.
        type: str
      chap_username:
        description:
          - Name by which the hosts prove to the target who they are (CHAP).
        type: str
      chap_password:
        description:
          - Secret for O(iscsi.chap_username). XAPI keeps it as a secret of the pool.
        type: str
      mutual_chap_username:
        description:
          - Name by which the target proves to the hosts who it is.
        type: str
      mutual_chap_password:
        description:
          - Secret for O(iscsi.mutual_chap_username).
        type: str
  mount_point:
    description:
      - Where the guest shall mount the disk, such as V(C:\\mt1). Nothing is mounted here.
      - In a Hyper-V failover cluster, the disk resource of a new disk and its temporary group are named after it, as
        C(Disk VM app01 MP C:\mt1); without it, after the LUN. Elsewhere it has no effect.
    type: str
    default: ""
  initialize:
    description:
      - Your word that the LUN is empty, so that a partition table (GPT) may be written to it where a Hyper-V failover cluster needs one to
        know its disks. Without it, a LUN that has none is refused there, because it may hold what Windows does not know, such as a
        Linux volume.
      - On Xen, your word that the LUN may be made a storage repository (O(fc_method=sr)), which overwrites what is on it.
      - In a failover cluster, a LUN that has a partition table is never written to. On VMware and KVM, and on a single Hyper-V host, it has
        no effect.
    type: bool
    default: false
  release:
    description:
      - With O(state=absent), also take the LUN out of use on every host that sees it, so that unmapping it on the array causes no
        loss of paths.
    type: bool
    default: false
  assume_unused:
    description:
      - Your word that nothing else uses the LUN, where nobody can tell, such as a VM that cannot be read; what it overrides is a warning.
        A use that is known is refused all the same.
    type: bool
    default: false
  other_initiators:
    description:
      - Initiators to which the array shows the LUN beside those of this hypervisor, as
        RV(crossvisor.san.lun_provision#module:other_initiators) tells. What they do with it, nobody can tell, so that the LUN is given to
        no VM that does not have it already, unless O(assume_unused) vouches for it.
      - Those of a host that was asked are none of them; those of a host that cannot be asked are, unless O(ignore_hosts) names it.
    type: list
    elements: str
    default: []
  size_bytes:
    description:
      - How large the hosts shall see the LUN at least, as M(crossvisor.san.lun_provision) returns it.
      - Hosts that see less, because the LUN has grown, are rescanned too, and on KVM a VM that runs is told the new size.
    type: int
    default: 0
  ignore_hosts:
    description:
      - Names of hosts that cannot be asked at the moment and shall not hold up the change. The VM cannot run there until they see the LUN,
        and on KVM until they have it by the name that the VM got.
      - It is also your word for what such a host, of any cluster, may have or do with the LUN.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait until all hosts see the LUN, and for each change of the VM; on KVM also until a path of the LUN does I/O.
    type: float
    default: 300
  hypervisor:
    description:
      - The hypervisor that manages the VM.
  array:
    description:
      - The array that has the LUN. While hosts do not see the LUN, it is asked whether they can, and what it says ends the wait at once -
        that the LUN is not online, or that it is mapped to none of a host's initiators.
      - It is asked for nothing else but, on Xen, for its iSCSI targets (O(iscsi)), and not at all where the hosts see the LUN at the first
        look. Without it, hosts wait for O(timeout).
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
  - crossvisor.san.hypervisor
  - crossvisor.san.hypervisor.hypervisors
  - crossvisor.san.array
seealso:
  - module: crossvisor.san.lun_provision
  - module: crossvisor.san.vm_storage_map
"""

EXAMPLES = r"""
- name: Attach the LUN
  crossvisor.san.ptd_attach:
    hypervisor:
      hostname: vcenter.example.com
      username: svc-ansible@vsphere.local
      password: "{{ vault_vcenter_password }}"
    vm: app01
    naa: "{{ lun.naa }}"
  delegate_to: localhost

- name: Attach a LUN in a place of its own, to be shared with a second VM
  crossvisor.san.ptd_attach:
    hypervisor: "{{ hypervisor }}"
    vm: db01
    naa: naa.600a098038304c61622d616161616131
    place: SCSI(1:3)
    sharing: multi_writer

- name: Give one LUN to both nodes of a guest cluster
  crossvisor.san.ptd_attach:
    vm: "{{ item }}"
    naa: "{{ lun.naa }}"
    sharing: physical_bus
  loop: [sql01, sql02]

- name: Give one LUN to both nodes of a guest cluster on two KVM hosts
  crossvisor.san.ptd_attach:
    hypervisors:
      - uri: qemu+ssh://root@kvm1/system
      - uri: qemu+ssh://root@kvm2/system
    vm: "{{ item }}"
    naa: "{{ lun.naa }}"
    sharing: multi_writer
    reservations: true
  loop: [node1, node2]

- name: Attach a new, empty LUN to a highly available VM of a Hyper-V failover cluster
  crossvisor.san.ptd_attach:
    hypervisor:
      type: hyperv
      hostname: node1.example.com
      username: EXAMPLE\svc-ansible
      password: "{{ vault_hyperv_password }}"
    vm: app01
    naa: "{{ lun.naa }}"
    mount_point: C:\mt1
    initialize: "{{ lun.created or lun.used_bytes == 0 }}"
  delegate_to: localhost

- name: Ask before a LUN is made whether the VM can get it, where it would go, and what would be done
  crossvisor.san.ptd_attach:
    hypervisor: "{{ hypervisor }}"
    vm: app01
    planned_lun: svm_san:/vol/vol_prod/app01_data
  check_mode: true
  diff: true

- name: Take the LUN from the VM, and from the hosts
  crossvisor.san.ptd_attach:
    hypervisor: "{{ hypervisor }}"
    vm: app01
    naa: "{{ lun.naa }}"
    state: absent
    release: true
"""

RETURN = r"""
vm:
  description: The VM.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: success
      type: str
    id:
      description: Its identifier at the endpoint.
      returned: success
      type: str
    uuid:
      description: Its UUID.
      returned: success
      type: str
naa:
  description: The LUN's identity, NAA hex digits without prefix; null for O(planned_lun), which has none yet.
  returned: success
  type: str
hosts:
  description: The hosts that were looked after, those that can run the VM or, to release the LUN, all that may see it.
  returned: success
  type: list
  elements: str
disk:
  description: The LUN as a disk of the VM, read back; null if it is not attached.
  returned: success
  type: dict
  contains:
    label:
      description: The disk's name on the platform.
      returned: success
      type: str
      sample: Hard disk 2
    key:
      description: The disk's key on the platform.
      returned: success
      type: str
    controller_type:
      description: Type of the controller.
      returned: success
      type: str
      sample: pvscsi
    controller_key:
      description: Key of the controller.
      returned: success
      type: str
    bus:
      description: Bus number of the controller.
      returned: success
      type: int
    unit:
      description: The disk's unit on its controller.
      returned: success
      type: int
    guest_address:
      description: Where the guest finds the disk.
      returned: success
      type: str
      sample: SCSI(0:1)
    mapping_file:
      description: The file that maps the LUN, on platforms that have one.
      returned: success
      type: str
    device:
      description: The LUN as the VM's host names it.
      returned: success
      type: str
    size_bytes:
      description: Size in bytes.
      returned: success
      type: int
    mode:
      description: Compatibility mode.
      returned: success
      type: str
    disk_mode:
      description: How the disk takes part in snapshots.
      returned: success
      type: str
    sharing:
      description:
        - Whether other VMs may have it too - V(none), V(multi_writer) by its own setting, V(physical_bus) or V(virtual_bus) because its
          controller shares its bus. Empty where the platform does not tell.
      returned: success
      type: str
    reservations:
      description: Whether a setting of the disk lets the guest's persistent reservations reach the array; null where there is none.
      returned: success
      type: bool
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Hypervisor, IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.iscsi_logins import logins
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "hypervisors": hypervisors.hypervisors_option(),
            "array": arrays.array_option(),
            "vm": {"type": "str", "required": True},
            "naa": {"type": "str", "aliases": ["lun"]},
            "serial": {"type": "str"},
            "planned_lun": {"type": "str"},
            "planned_disks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "naa": {"type": "str"},
                    "place": {"type": "str"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
                "required_if": [("state", "absent", ["naa"])],
            },
            "state": {"type": "str", "choices": ["present", "absent", "released", "forgotten"], "default": "present"},
            "place": {"type": "str"},
            "controller_type": {
                "type": "str",
                "choices": ["pvscsi", "lsilogic", "lsilogicsas", "buslogic", "scsi", "virtio-scsi", "xenbus"],
            },
            "mode": {"type": "str", "choices": ["physical", "virtual"]},
            "disk_mode": {"type": "str", "choices": ["persistent", "independent_persistent", "independent_nonpersistent"]},
            "sharing": {"type": "str", "choices": ["none", "multi_writer", "physical_bus"]},
            "reservations": {"type": "bool"},
            "single_path": {"type": "str", "choices": ["refuse", "allow", "mend"], "default": "refuse"},
            "datastore": {"type": "str"},
            "fc_method": {"type": "str", "choices": ["sr", "hba", "udev"]},
            "iscsi": {
                "type": "dict",
                "options": {
                    "address": {"type": "str"},
                    "port": {"type": "int"},
                    "target": {"type": "str"},
                    "chap_username": {"type": "str"},
                    "chap_password": {"type": "str", "no_log": True},
                    "mutual_chap_username": {"type": "str"},
                    "mutual_chap_password": {"type": "str", "no_log": True},
                },
            },
            "release": {"type": "bool", "default": False},
            "assume_unused": {"type": "bool", "default": False},
            "other_initiators": {"type": "list", "elements": "str", "default": []},
            "size_bytes": {"type": "int", "default": 0},
            "ignore_hosts": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 300.0},
            "mount_point": {"type": "str", "default": ""},
            "initialize": {"type": "bool", "default": False},
        },
        required_one_of=[("naa", "serial", "planned_lun")],
        mutually_exclusive=[("naa", "serial", "planned_lun")],
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _reach(module))


def _reach(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    wishes.refuse_plans_that_would_be_done(params, module.check_mode)
    planned = [(_planned(disk["naa"]), disk) for disk in params["planned_disks"]]
    request = attach.AttachRequest(
        vm=params["vm"],
        wish=DiskWish(
            name=wishes.lun_name(params["naa"], params["serial"], params["planned_lun"]),
            slot=wishes.place(params["place"]),
            controller_type=params["controller_type"],
            mode=params["mode"],
            disk_mode=params["disk_mode"],
            sharing=params["sharing"],
            reservations=params["reservations"],
            file_system=params["datastore"],
            fc_method=params["fc_method"],
            timeout=params["timeout"],
            mount_point=params["mount_point"],
            initialize=params["initialize"],
            single_path=params["single_path"],
        ),
        assume_unused=params["assume_unused"],
        other_initiators=params["other_initiators"],
        ignore_hosts=params["ignore_hosts"],
        size_bytes=params["size_bytes"],
        ahead=[(name, wishes.place(disk["place"] or None)) for name, disk in planned if disk["state"] == "present"],
        leaving=[name for name, disk in planned if disk["state"] == "absent"],
    )
    with closing(hypervisors.open_hypervisor(module)) as hypervisor:
        if params["state"] == "present":
            report = _attach(module, hypervisor, request)
        elif params["state"] == "absent":
            report = attach.detach(hypervisor, request, params["release"], module.check_mode)
        elif params["state"] == "released":
            report = attach.release(hypervisor, request, module.check_mode)
        else:
            report = attach.forget(hypervisor, request, module.check_mode)
    return report.result(request.wish.name)


def _attach(module: AnsibleModule, hypervisor: Hypervisor, request: attach.AttachRequest) -> attach.AttachReport:
    given = module.params["iscsi"]
    if not arrays.names_array(module):
        return attach.attach(hypervisor, _told(request, logins(given, None)), module.check_mode)
    with closing(Presentation(lambda: arrays.open_array(module, module.params["array"]), hypervisor, request.wish.name)) as presentation:
        return attach.attach(hypervisor, _told(request, logins(given, presentation)), module.check_mode, presentation=presentation)


def _told(request: attach.AttachRequest, targets: Callable[[], Sequence[IscsiLogin]]) -> attach.AttachRequest:
    return replace(request, wish=replace(request.wish, targets=targets))


def _planned(naa: str | None) -> ScsiName:
    return ScsiName.parse(naa) if naa else PlannedLun("another new LUN")


if __name__ == "__main__":
    main()
