# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a LUN, whatever the platform calls its devices."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ClusterDisk,
    FileSystem,
    Inventory,
    LunMapping,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import (
    CANNOT_TELL,
    USED,
    claims,
    claims_of_initiators,
    claims_of_strangers,
    refuse_unless_free,
    vouched_for,
    without,
)
from tests.unit.ports import NAME, OTHER

APP = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME), VirtualDisk("2", "e", "image")])


@pytest.mark.parametrize("extent", [f"naa.{NAME.naa}", f"wwn-0x{NAME.naa}", f"3{NAME.naa}", NAME.naa.upper()])
def test_vms_and_file_systems_count_in_every_spelling(extent: str) -> None:
    inventory = Inventory(virtual_machines=[APP], file_systems=[FileSystem("ds-1", "gold", "vmfs", extents=["mpx.local", extent])])
    assert [str(user) for user in claims(NAME, inventory)] == ["VM app (vm-1)", "vmfs file system gold (ds-1)"]
    assert claims(OTHER, inventory) == []


def test_a_refusal_names_the_users_and_the_way_out() -> None:
    refuse_unless_free(NAME, [], "deleted", "detach it")
    with pytest.raises(Refused, match=rf"^LUN naa\.{NAME.naa} is used by VM app \(vm-1\) and will not be deleted: detach it\.$"):
        refuse_unless_free(NAME, claims(NAME, Inventory(virtual_machines=[APP])), "deleted", "detach it")


def kept(vm: str = "", available: bool = False) -> ClusterDisk:
    return ClusterDisk("hvc1:Disk 3", "Disk 3", "some group", "hvc1", NAME, vm, available)


def volume() -> FileSystem:
    return FileSystem("n1:v", "F:", "ntfs", extents=[NAME.windows])


def test_a_clusters_disk_is_a_user_unless_nobody_has_it_yet() -> None:
    assert [str(user) for user in claims(NAME, Inventory(cluster_disks=[kept()]))] == ["cluster disk Disk 3 (hvc1:Disk 3)"]
    assert claims(NAME, Inventory(cluster_disks=[kept(available=True)])) == []
    assert claims(OTHER, Inventory(cluster_disks=[kept()])) == []


def test_a_clusters_disk_is_no_stranger_to_the_vm_that_it_is_kept_for() -> None:
    assert {user.id for user in claims(NAME, Inventory([], [APP], [volume()], cluster_disks=[kept(APP.id)]))} == {APP.id}


def test_a_file_system_with_image_files_is_a_user_whomever_its_disk_is_kept_for() -> None:
    resident = VirtualMachine("vm-2", "resident", disks=[VirtualDisk("1", "d", "image", file_system=volume().id)])
    found = claims(NAME, Inventory([], [resident], [volume()], cluster_disks=[kept(resident.id)]))
    assert [user.id for user in found] == [volume().id, resident.id]


def test_a_refusal_over_a_clusters_disk_says_where_to_remove_it() -> None:
    with pytest.raises(Refused, match=r"is used by cluster disk Disk 3 .*: remove the disk from the cluster first"):
        refuse_unless_free(NAME, claims(NAME, Inventory(cluster_disks=[kept()])), "given to VM app", "detach it")


HOSTDEV = Use("VM", "raw", "vm-3", "passes it through as a SCSI device", NAME)
UNREADABLE = Use("VM", "lost", "vm-4", "cannot be read because it is inaccessible")


def test_whatever_else_has_a_lun_is_a_user() -> None:
    found = claims(NAME, Inventory(uses=[HOSTDEV]))
    assert [(claim.verdict, str(claim)) for claim in found] == [(USED, "VM raw (vm-3) passes it through as a SCSI device")]
    assert claims(OTHER, Inventory(uses=[HOSTDEV])) == []


def test_what_cannot_be_looked_into_may_use_any_lun() -> None:
    for name in (NAME, OTHER):
        assert [claim.verdict for claim in claims(name, Inventory(uses=[UNREADABLE]))] == [CANNOT_TELL]


def test_only_a_lun_without_any_claim_is_free() -> None:
    assert refuse_unless_free(NAME, [], "deleted", "detach it") == []
    with pytest.raises(
        Refused,
        match=r"will not be deleted, because nobody can tell whether it is used \(VM lost \(vm-4\) cannot be read because it is in",
    ):
        refuse_unless_free(NAME, claims(NAME, Inventory(uses=[UNREADABLE])), "deleted", "detach it")


def test_the_users_word_overrides_only_what_nobody_can_tell_and_is_told() -> None:
    doubts = claims(NAME, Inventory(uses=[UNREADABLE]))
    (warning,) = refuse_unless_free(NAME, doubts, "deleted", "detach it", assume_unused=True)
    assert "VM lost (vm-4) cannot be read" in warning
    with pytest.raises(Refused, match=r"is used by VM app \(vm-1\)"):
        refuse_unless_free(NAME, [*doubts, *claims(NAME, Inventory(virtual_machines=[APP]))], "deleted", "detach it", assume_unused=True)


def test_the_arrays_own_view_shows_initiators_of_nobody_who_was_asked() -> None:
    mapping = LunMapping("g1", "1", 3, ["iqn.2026-01.com.example:A", "10:00:00:90:fa:00:00:01"])
    assert claims_of_strangers([mapping], ["IQN.2026-01.com.example:a", "10:00:00:90:FA:00:00:01"]) == []
    (stranger,) = claims_of_strangers([mapping], ["iqn.2026-01.com.example:a"])
    assert (stranger.verdict, str(stranger)) == (
        CANNOT_TELL,
        "initiator 10:00:00:90:fa:00:00:01 of igroup g1 belongs to no host that was asked",
    )


def test_members_of_a_group_that_the_array_does_not_tell_may_be_anybody() -> None:
    (doubt,) = claims_of_strangers([LunMapping("g1", "id-1", 0, told=False)], ["iqn.2026-01.com.example:a"])
    assert (doubt.verdict, str(doubt)) == (CANNOT_TELL, "igroup g1 (id-1) has members that the array does not tell")


def test_an_owners_use_is_no_reason_to_refuse_it_anything() -> None:
    found = claims(NAME, Inventory(virtual_machines=[APP], uses=[HOSTDEV, UNREADABLE]))
    assert [claim.id for claim in without(APP.id, found)] == ["vm-3", "vm-4"]
    assert [claim.id for claim in without("vm-4", found)] == ["vm-1", "vm-3"]


def test_what_an_owner_has_in_another_way_than_as_a_disk_is_not_its_own_use() -> None:
    below = Use("VM", "app", APP.id, "has it below its disk vda", NAME)
    assert [str(claim) for claim in without(APP.id, claims(NAME, Inventory(virtual_machines=[APP], uses=[below])))] == [
        "VM app (vm-1) has it below its disk vda"
    ]


def test_what_the_snapshots_of_an_owner_have_or_may_have_is_not_its_own_use() -> None:
    kept = Use("VM", "app", APP.id, "has it in its snapshots S2", NAME, way_out="remove these snapshots first", in_snapshots=True)
    dark = Use("VM", "app", APP.id, "has the snapshots S3, which cannot be read", in_snapshots=True)
    found = claims(NAME, Inventory(virtual_machines=[APP], uses=[kept, dark]))
    assert [(claim.verdict, claim.how) for claim in without(APP.id, found)] == [(USED, kept.how), (CANNOT_TELL, dark.how)]
    with pytest.raises(Refused, match=r"is used by VM app \(vm-1\) has it in its snapshots S2 and will not be deleted: remove these snap"):
        refuse_unless_free(NAME, without(APP.id, found), "deleted", "detach it", assume_unused=True)


def test_a_doubt_about_one_lun_is_no_doubt_about_another() -> None:
    unseen = Use("host", "kvm01", "kvm01", "does not tell who has it open", NAME, doubt=True)
    assert [claim.verdict for claim in claims(NAME, Inventory(uses=[unseen]))] == [CANNOT_TELL]
    assert claims(OTHER, Inventory(uses=[unseen])) == []


def test_only_doubts_about_hosts_are_vouched_for_by_naming_them() -> None:
    lost = Use("host", "kvm01.lab", "kvm01", "cannot be asked")
    busy = Use("host", "kvm01.lab", "kvm01", "has it in md array md0", NAME)
    found = claims(NAME, Inventory(uses=[lost, busy, UNREADABLE]))
    for word in ("kvm01", "kvm01.lab"):
        assert [claim.how for claim in vouched_for([word], found)] == [busy.how, UNREADABLE.how]
    assert vouched_for(["lost", "vm-4"], found) == found


def test_a_use_that_is_ended_in_a_special_way_says_so() -> None:
    use = Use("host", "kvm01", "kvm01", "has volume group vg-a active", NAME, way_out="deactivate it (vgchange -an vg-a)")
    with pytest.raises(Refused, match=r"will not be deleted: deactivate it \(vgchange -an vg-a\)\.$"):
        refuse_unless_free(NAME, claims(NAME, Inventory(uses=[use])), "deleted", "detach it")


def test_a_refusal_over_a_hosts_own_use_says_to_end_it() -> None:
    use = Use("host", "kvm01", "kvm01", "has it in md array md0", NAME)
    with pytest.raises(Refused, match=r"used by host kvm01 \(kvm01\) has it in md array md0 and will not be deleted: end that use first"):
        refuse_unless_free(NAME, claims(NAME, Inventory(uses=[use])), "deleted", "detach it")


def test_an_initiator_of_nobody_is_a_doubt_by_its_name() -> None:
    (claim,) = claims_of_initiators(["iqn.2026-01.com.example:far"])
    assert (claim.verdict, claim.kind, claim.id) == ("cannot tell", "initiator", "")
    assert str(claim) == "initiator iqn.2026-01.com.example:far belongs to no host that was asked, and the array shows it the LUN"


def test_a_vms_disk_is_a_use_that_is_known() -> None:
    assert [claim.verdict for claim in claims(NAME, Inventory(virtual_machines=[APP]))] == ["used"]
