# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a disk, as the machine shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import find
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.usage import Use, uses
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.module_utils._san.guests.linux.guest import NAME, Attached, PlayedKernel
from tests.unit.module_utils._san.linux.machines import Link

LUN = Attached("2:0:0:1", "sdb")


@pytest.fixture
def kernel(tmp_path: Path) -> PlayedKernel:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel.partition(LUN)
    return kernel


def users(kernel: PlayedKernel) -> list[Use]:
    disk = find(kernel.tree, NAME)
    assert disk is not None
    return uses(kernel.tree, disk)


def process(kernel: PlayedKernel, pid: int, command: str, **links: str) -> None:
    files = {f"/proc/{pid}/{name.replace('fd', 'fd/')}": Link(target) for name, target in links.items()}
    kernel.add({f"/proc/{pid}/comm": command, **files})


def mount(kernel: PlayedKernel, number: str, point: str, source: str, table: str = "self") -> None:
    kernel.add({f"/proc/{table}/mountinfo": f"36 25 {number} / {point} rw,relatime shared:1 - xfs {source} rw"})


def test_an_idle_disk_has_no_users(kernel: PlayedKernel) -> None:
    mount(kernel, "254:0", "/", "/dev/vda")
    process(kernel, 1, "systemd", cwd="/", fd3="socket:[123]")
    assert users(kernel) == []


def test_a_mount_with_the_processes_that_have_files_open_below_it(kernel: PlayedKernel) -> None:
    mount(kernel, "8:1", "/srv/my\\040data", "/dev/sdb1")
    process(kernel, 4711, "postgres", cwd="/", fd3="/srv/my data/base", fd4="/srv/my data/wal")
    process(kernel, 4712, "bash", cwd="/srv/my data")
    process(kernel, 4713, "vi", cwd="/", fd3="/srv/my database")
    (use,) = users(kernel)
    assert str(use) == "/dev/sdb1 is mounted at /srv/my data and used by postgres (4711), bash (4712)"
    assert use.result() == {
        "kind": "mount",
        "device": "/dev/sdb1",
        "name": "/srv/my data",
        "processes": [{"pid": 4711, "command": "postgres"}, {"pid": 4712, "command": "bash"}],
    }


def test_a_mount_in_the_namespace_of_the_first_process_only(kernel: PlayedKernel) -> None:
    mount(kernel, "8:1", "/data", "/dev/sdb1", table="1")
    assert [str(use) for use in users(kernel)] == ["/dev/sdb1 is mounted at /data"]


def test_a_mount_that_shows_the_device_and_not_its_number_as_btrfs_does(kernel: PlayedKernel) -> None:
    mount(kernel, "0:47", "/data", "/dev/sdb1")
    assert [use.name for use in users(kernel)] == ["/data"]


def test_btrfs_that_names_a_link_to_the_device(kernel: PlayedKernel) -> None:
    kernel.add({"/dev/sdb1": "", "/dev/disk/by-label/data": Link("../../sdb1")})
    mount(kernel, "0:47", "/data", "/dev/disk/by-label/data")
    assert [use.name for use in users(kernel)] == ["/data"]


def test_a_mount_point_with_what_only_unicode_takes_for_a_line_end(kernel: PlayedKernel) -> None:
    mount(kernel, "8:1", "/my\u2028data", "/dev/sdb1")
    assert [use.name for use in users(kernel)] == ["/my\u2028data"]


def test_swap_space(kernel: PlayedKernel) -> None:
    kernel.add({"/proc/swaps": "Filename Type Size Used Priority\n/dev/sdb1 partition 1048572 0 -2"})
    assert [str(use) for use in users(kernel)] == ["/dev/sdb1 is swap space"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"/sys/class/block/dm-7/dm/uuid": "LVM-Zx8cXk3T", "/sys/class/block/dm-7/dm/name": "vg-data"},
            "logical volume /dev/mapper/vg-data",
        ),
        ({"/sys/class/block/dm-7/dm/uuid": "CRYPT-LUKS2-5f", "/sys/class/block/dm-7/dm/name": "c"}, "encrypted device /dev/mapper/c"),
        ({"/sys/class/block/dm-7/dm/uuid": "DMRAID-1", "/sys/class/block/dm-7/dm/name": "r"}, "device-mapper device /dev/mapper/r"),
        ({"/sys/class/block/dm-7/md/level": "raid1"}, "RAID /dev/dm-7"),
        ({"/sys/class/block/dm-7/size": "8"}, "block device /dev/dm-7"),
    ],
)
def test_what_is_built_on_it(kernel: PlayedKernel, files: dict[str, str], told: str) -> None:
    kernel.add({f"{LUN.directory}/block/sdb/sdb1/holders/dm-7": "", **files})
    assert [str(use) for use in users(kernel)] == [f"/dev/sdb1 is part of {told}"]


def test_a_process_with_the_bare_device_open_unless_it_only_watches(kernel: PlayedKernel) -> None:
    process(kernel, 99, "oracle", fd5="/dev/sdb")
    process(kernel, 98, "multipathd", fd5="/dev/sdb")
    assert [str(use) for use in users(kernel)] == ["/dev/sdb is open in oracle (99)"]


def test_what_udev_has_started_only_watches_too(kernel: PlayedKernel) -> None:
    process(kernel, 1, "systemd")
    process(kernel, 300, "(udev-worker)")
    for pid, command, parent in ((301, "sh", 300), (302, "scsi_id", 301), (99, "my) (job", 98), (98, "cron", 1)):
        process(kernel, pid, command, fd5="/dev/sdb")
        kernel.add({f"/proc/{pid}/stat": f"{pid} ({command}) S {parent} {pid} 1 0"})
    assert [str(use) for use in users(kernel)] == ["/dev/sdb is open in cron (98)", "/dev/sdb is open in my) (job (99)"]


def test_a_process_that_has_ended_while_all_were_looked_at_uses_nothing(kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    process(kernel, 302, "scsi_id", fd5="/dev/sdb")
    exists = Tree.exists
    monkeypatch.setattr(Tree, "exists", lambda tree, path: path != "/proc/302/comm" and exists(tree, path))
    assert users(kernel) == []


def test_multipath_and_its_partitions_are_no_users(kernel: PlayedKernel) -> None:
    kernel.multipath(LUN)
    assert users(kernel) == []


def logical_volume(kernel: PlayedKernel) -> None:
    volume = {"dev": "253:7", "dm/uuid": "LVM-Zx8cXk3T", "dm/name": "vg-data"}
    kernel.add({f"{LUN.directory}/block/sdb/sdb1/holders/dm-7": ""})
    kernel.add({f"/sys/class/block/dm-7/{name}": value for name, value in volume.items()})


def test_what_is_mounted_from_a_logical_volume_on_the_disk(kernel: PlayedKernel) -> None:
    logical_volume(kernel)
    mount(kernel, "253:7", "/srv/data", "/dev/mapper/vg-data")
    process(kernel, 4711, "postgres", cwd="/srv/data")
    assert [str(use) for use in users(kernel)] == [
        "/dev/sdb1 is part of logical volume /dev/mapper/vg-data",
        "/dev/mapper/vg-data is mounted at /srv/data and used by postgres (4711)",
    ]


def test_whatever_else_is_done_with_a_logical_volume_on_the_disk(kernel: PlayedKernel) -> None:
    logical_volume(kernel)
    kernel.add({"/sys/class/block/dm-7/holders/dm-8": ""})
    kernel.add({"/sys/class/block/dm-8/dm/uuid": "CRYPT-LUKS2-5f", "/sys/class/block/dm-8/dm/name": "secret"})
    kernel.add({"/proc/swaps": "Filename Type Size Used Priority\n/dev/dm-7 partition 1048572 0 -2"})
    process(kernel, 99, "oracle", fd5="/dev/dm-7")
    assert [str(use) for use in users(kernel)] == [
        "/dev/sdb1 is part of logical volume /dev/mapper/vg-data",
        "/dev/mapper/vg-data is swap space",
        "/dev/mapper/vg-data is part of encrypted device /dev/mapper/secret",
        "/dev/mapper/vg-data is open in oracle (99)",
    ]
