# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a VM can be given a LUN: multipath before a path, the host before the network, and never what nobody shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Given
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import STORAGE
from tests.unit import libvirt
from tests.unit.iscsi_target import INITIATOR, IQN, IscsiTarget, listening
from tests.unit.kvm_host import MULTIPATHD, PORT, SAN_HOST, holders, mapped, path, remote_port
from tests.unit.libvirt import HOST_UUID, Connect, Pool
from tests.unit.module_utils._san.linux.machines import Link, Machine, naa_page, plant
from tests.unit.ports import NAME, OTHER

pytestmark = pytest.mark.slow

THIRD = ScsiName.from_ontap_serial("80Lab-aaaaa7")


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({3: THIRD, 4: NAME})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect(pools=[libvirt.san_pool(target)]), plant(tmp_path, SAN_HOST))


def test_multipath_goes_before_a_path_and_the_host_before_the_network(host: KvmHost) -> None:
    assert host_lun.source(host, NAME).path == f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"
    assert host_lun.source(host, OTHER).path == f"/dev/disk/by-id/{OTHER.wwn}"


def later(host: KvmHost, name: ScsiName, *happenings: Callable[[], object], single_path: str = "refuse") -> Source:
    """What is given when one thing after the other happens on the host while it is waited for, until the time is over.

    Once nothing more happens, the time goes by fast.
    """
    coming, now = iter(happenings), [0.0]

    def sleep(seconds: float) -> None:
        happening = next(coming, None)
        now[0] += seconds if happening else 25 * seconds
        if happening:
            happening()

    return host_lun.source(host, name, single_path, host_lun.Wait(lambda: now[0], sleep))


SECOND_PATH = path("7:0:1:2", "sdf", "8:80", OTHER.naa)
MAP = {
    **mapped(2, "san_data", f"mpath-{OTHER.wwid}", "sdc", "sdf"),
    **holders("7:0:0:2", "sdc", "dm-2"),
    **holders("7:0:1:2", "sdf", "dm-2"),
}
LINK = {f"/dev/disk/by-id/dm-uuid-mpath-{OTHER.wwid}": Link("../../dm-2")}


def test_a_map_that_multipathd_makes_later_is_waited_for_whatever_its_name(host: KvmHost, tmp_path: Path) -> None:
    plant(tmp_path, MULTIPATHD)
    found = later(host, OTHER, lambda: plant(tmp_path, SECOND_PATH), lambda: plant(tmp_path, MAP), lambda: plant(tmp_path, LINK))
    assert found.path == f"/dev/disk/by-id/dm-uuid-mpath-{OTHER.wwid}"


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (
            MULTIPATHD,
            r"kvm01 has LUN .* by one path \(sdc\) and no multipath device of it: see whether it lacks .* paths or .*find_multipaths",
        ),
        ({**MULTIPATHD, **SECOND_PATH}, r"by 2 paths \(sdc, sdf\) and no .* though multipathd runs there: .*multipath -v3 sdc, blacklist"),
        (SECOND_PATH, r"by 2 paths .* because multipathd does not run there: start it \(systemctl start multipathd\)"),
        ({**remote_port("rport-7:0-0", "0a"), **remote_port("rport-7:0-1", "0a")}, r"by one path \(sdc\) .* multipathd does not run there"),
        ({**MULTIPATHD, **SECOND_PATH, **MAP}, r"no link /dev/disk/by-id/dm-uuid-mpath-.* to it yet: see what udev does"),
    ],
    ids=["one path seen", "left out", "stopped", "two ways to the array", "udev is slow"],
)
def test_a_lun_that_ought_to_have_a_map_is_not_given_by_one_path(host: KvmHost, tmp_path: Path, there: Machine, words: str) -> None:
    plant(tmp_path, there)
    with pytest.raises(Refused, match=words):
        later(host, OTHER)


@pytest.mark.parametrize(
    "there",
    [
        {},
        {**remote_port("rport-7:0-0", "0a"), **remote_port("rport-7:0-1", "0b")},
        {**remote_port("rport-7:0-0", "0a"), **remote_port("rport-7:0-1", "0a", roles="FCP Initiator")},
    ],
    ids=["nobody groups", "another array", "another host"],
)
def test_a_host_with_one_way_to_the_array_gives_its_one_path(host: KvmHost, tmp_path: Path, there: Machine) -> None:
    plant(tmp_path, there)
    assert later(host, OTHER).path == f"/dev/disk/by-id/{OTHER.wwn}"


def test_one_path_is_given_by_the_users_word(host: KvmHost, tmp_path: Path) -> None:
    plant(tmp_path, MULTIPATHD, SECOND_PATH)
    assert later(host, OTHER, single_path="allow").path == f"/dev/disk/by-id/{OTHER.wwn}"


def dies(root: Path, address: str, state: str = "offline") -> None:
    """The kernel has given up a path, or has it back."""
    path = f"{PORT}/rport-7:0-{address.split(':')[2]}/target{address.rpartition(':')[0]}/{address}".lstrip("/")
    (root / path / "state").write_text(f"{state}\n")


def test_a_link_that_leads_to_a_dead_path_is_not_given_though_another_path_does_io(host: KvmHost, tmp_path: Path) -> None:
    plant(tmp_path, SECOND_PATH)
    dies(tmp_path, "7:0:0:2")
    told = r"by 2 paths \(sdc, sdf\), and the link /dev/disk/by-id/wwn-.* leads to sdc, which does no I/O: .*sdc/device/delete"
    with pytest.raises(Refused, match=told):
        later(host, OTHER, single_path="allow")
    link = f"/dev/disk/by-id/{OTHER.wwn}"
    assert later(host, OTHER, lambda: dies(tmp_path, "7:0:0:2", "running"), single_path="allow").path == link


def test_a_link_that_udev_lets_lead_to_a_path_that_does_io_is_given(host: KvmHost, tmp_path: Path) -> None:
    plant(tmp_path, SECOND_PATH)
    dies(tmp_path, "7:0:0:2")
    link = tmp_path / f"dev/disk/by-id/{OTHER.wwn}"
    link.unlink()
    link.symlink_to("../../sdf")
    assert later(host, OTHER, single_path="allow").path == f"/dev/disk/by-id/{OTHER.wwn}"


def test_a_link_that_leads_to_another_lun_is_not_believed(host: KvmHost, tmp_path: Path) -> None:
    link = tmp_path / f"dev/disk/by-id/{OTHER.wwn}"
    link.unlink()
    link.symlink_to("../../sde")
    with pytest.raises(Refused, match=r"no link .* to it yet"):
        later(host, OTHER)


def test_a_map_with_one_dead_path_is_given(host: KvmHost, tmp_path: Path) -> None:
    (tmp_path / f"{PORT}/rport-7:0-1/target7:0:1/7:0:1:1/state".lstrip("/")).write_text("transport-offline\n")
    assert later(host, NAME).path.startswith("/dev/disk/by-id/dm-uuid-mpath-")


def renumbered(root: Path, address: str, now: ScsiName) -> None:
    """The kernel asked a path anew, and it is another LUN."""
    path = root / f"{PORT}/rport-7:0-{address.split(':')[2]}/target{address.rpartition(':')[0]}/{address}".lstrip("/")
    (path / "vpd_pg83").write_bytes(naa_page(now.naa))


def test_every_path_is_asked_which_lun_it_is_before_it_is_given(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote: list[tuple[str, str]] = []

    def write(orders: Sequence[tuple[str, str]]) -> None:
        wrote.extend(orders)
        renumbered(tmp_path, "7:0:0:2", THIRD)

    monkeypatch.setattr(host.access, "write", write)
    with pytest.raises(Refused, match=r"The paths by which host kvm01 knew LUN .* lead to another LUN by now, .*number was given away"):
        later(host, OTHER)
    assert wrote == [("/sys/class/block/sdc/device/rescan", "1")]


def unmapped(root: Path, *addresses: str) -> None:
    """The kernel asked these paths anew, and there is no LUN any more; what they were known as stays."""
    for address in addresses:
        next(root.rglob(f"{address}/block/*/size")).write_text("0\n")


def test_a_map_none_of_whose_paths_answers_would_hang_its_vm_and_is_not_given(
    host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.access, "write", lambda _orders: unmapped(tmp_path, "7:0:0:1", "7:0:1:1"))
    with pytest.raises(Refused, match=r"Host kvm01 has LUN .* by 2 paths \(sda, sdb\), and the array answers on none: check"):
        later(host, NAME)


def test_paths_are_asked_again_after_the_map_was_waited_for(host: KvmHost, tmp_path: Path) -> None:
    plant(tmp_path, MULTIPATHD, SECOND_PATH)

    def comes_and_nobody_was_asked() -> None:
        plant(tmp_path, MAP, LINK)
        for asked in tmp_path.rglob("7:0:*:2/rescan"):
            asked.unlink()

    assert later(host, OTHER, comes_and_nobody_was_asked).path.startswith("/dev/disk/by-id/dm-uuid-mpath-")
    assert {asked.parent.name for asked in tmp_path.rglob("rescan")} == {"7:0:0:2", "7:0:1:2"}


def test_a_map_with_a_path_to_another_lun_is_not_given(host: KvmHost, tmp_path: Path) -> None:
    renumbered(tmp_path, "7:0:1:1", THIRD)
    with pytest.raises(
        Refused, match=r"Multipath device mpatha of LUN .* on host kvm01 has sdb, which is another LUN by now: .*del path sdb"
    ):
        later(host, NAME)
    with pytest.raises(Refused, match=r"Host kvm01 has LUN .* as a path of multipath device mpatha, which is of another LUN"):
        later(host, THIRD)


def test_multipathd_has_time_to_part_two_luns_and_nobody_is_waited_for_who_does_not_run(host: KvmHost, tmp_path: Path) -> None:
    renumbered(tmp_path, "7:0:1:1", THIRD)
    plant(tmp_path, MULTIPATHD)

    def parted() -> None:
        (tmp_path / "sys/devices/virtual/block/dm-0/slaves/sdb").unlink()

    assert later(host, NAME, lambda: None, parted).path == f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"
    (tmp_path / "proc/77/comm").unlink()
    with pytest.raises(Refused, match=r"as a path of multipath device mpatha"):
        later(host, THIRD, lambda: pytest.fail("nobody comes"))


def test_where_nobody_can_tell_one_path_is_given_only_by_the_users_word() -> None:
    about = f"<block>/dev/sdc</block><drive_type>disk</drive_type><serial>{OTHER.wwid}</serial>"
    disk = f"<device><parent>scsi_7_0_0_2</parent><capability type='storage'>{about}</capability></device>"
    host = KvmHost(libvirt.session(Connect(node_devices={STORAGE: [disk]})), libvirt.without_files())
    with pytest.raises(Refused, match=r"Nobody can tell from here whether host kvm01 has LUN .* by multipath.*single_path=allow"):
        later(host, OTHER)
    assert later(host, OTHER, single_path="allow").path == f"/dev/disk/by-id/{OTHER.wwn}"


def test_what_the_host_has_not_comes_over_the_network(host: KvmHost) -> None:
    source = host_lun.source(host, THIRD)
    assert (source.type, source.lun_id) == ("network", 3)


def test_visible_is_what_either_shows(host: KvmHost) -> None:
    assert [device.device for device in host_lun.devices(host, OTHER)] == [f"/dev/disk/by-id/{OTHER.wwn}"]
    assert [(device.host, device.state, device.size_bytes) for device in host_lun.devices(host, THIRD)] == [(HOST_UUID, "ok", 1 << 30)]
    assert len(host_lun.devices(host, NAME)) == 2


def given(host: KvmHost, name: ScsiName) -> list[Given | None]:
    """How VMs are given the LUN there."""
    return [device.given for device in host_lun.devices(host, name)]


class TestHowALunIsGiven:
    """Told of all hosts to which a VM may move, before the LUN is given to it on one."""

    @pytest.mark.parametrize(("name", "how", "best"), [(NAME, "by multipath device mpatha", True), (OTHER, "by one path (sdc)", False)])
    def test_is_by_the_name_that_a_vm_gets(self, host: KvmHost, name: ScsiName, how: str, best: bool) -> None:
        way, *_over_network = given(host, name)
        assert way
        assert (way.name, way.how, way.best, way.refusal) == (host_lun.source(host, name).path, how, best, "")

    @pytest.mark.parametrize(
        ("there", "words", "passing"),
        [
            (SECOND_PATH, r"^Host kvm01 has LUN .* by 2 paths \(sdc, sdf\) .* multipathd does not run there: start it", False),
            ({**MULTIPATHD, **SECOND_PATH}, "though multipathd runs there: see why it leaves it out", True),
        ],
    )
    def test_by_one_path_of_several_is_refused_but_by_the_users_word(
        self, host: KvmHost, tmp_path: Path, there: Machine, words: str, passing: bool
    ) -> None:
        plant(tmp_path, there)
        (way,) = given(host, OTHER)
        assert way
        assert re.search(words, way.refusal)
        assert (way.name, way.by_one_path, way.passing) == (f"/dev/disk/by-id/{OTHER.wwn}", True, passing)

    def test_by_a_link_that_udev_has_not_made_yet_is_waited_for(self, host: KvmHost, tmp_path: Path) -> None:
        plant(tmp_path, {**MULTIPATHD, **SECOND_PATH, **MAP})
        (way,) = given(host, OTHER)
        assert way
        assert (way.name.startswith("/dev/disk/by-id/dm-uuid-mpath-"), way.by_one_path, way.passing) == (True, False, True)
        assert "see what udev does" in way.refusal

    def test_together_with_another_lun_is_no_way_at_all(self, host: KvmHost, tmp_path: Path) -> None:
        renumbered(tmp_path, "7:0:1:1", THIRD)
        way, *_over_network = given(host, NAME)
        assert way
        assert (way.refusal.startswith("Multipath device mpatha"), way.by_one_path, way.passing) == (True, False, False)

    def test_over_the_network_is_by_the_target_and_not_by_what_goes_with_the_vm(self, target: IscsiTarget, tmp_path: Path) -> None:
        """The portal and the initiator; the portal of each pool leads to the target here, be it named or numbered."""
        another = "iqn.2026-01.com.example:another"
        target.initiators.add(another)
        pool = libvirt.san_pool(target)
        for xml in (pool.xml, pool.xml.replace(INITIATOR, another), pool.xml.replace("127.0.0.1", "localhost")):
            (way,) = given(libvirt.host(Connect(pools=[Pool(xml)]), tmp_path), THIRD)
            assert way
            assert (way.name, way.refusal) == (IQN, "")

    def test_over_the_network_is_also_by_the_secret_that_each_host_has_to_have(self, tmp_path: Path) -> None:
        with listening(IscsiTarget({3: THIRD}, accounts={"kvm": "a secret of a host"})) as target:
            pool = libvirt.san_pool(target, auth="<auth type='chap' username='kvm'><secret usage='san'/></auth>")
            (way,) = given(libvirt.host(Connect(pools=[pool], secrets={"san": "a secret of a host"}), tmp_path), THIRD)
        assert way
        assert way.name.endswith(", as kvm with secret san")


def test_what_nobody_shows_is_told_with_what_the_targets_say(host: KvmHost, target: IscsiTarget) -> None:
    target.initiators.clear()
    assert host_lun.devices(host, THIRD) == []
    with pytest.raises(NotFound, match=r"Host kvm01 does not see LUN .*does not let initiator .* in \(status 515\)"):
        host_lun.source(host, THIRD)


def lost(root: Path, *addresses: str) -> None:
    """The transport of these paths is gone."""
    for address in addresses:
        next(root.rglob(f"{address}/state")).write_text("transport-offline\n")


def back(root: Path, *addresses: str) -> None:
    for address in addresses:
        next(root.rglob(f"{address}/state")).write_text("running\n")


def status(*states: str) -> str:
    """What `dmsetup status` prints of a map over sda and sdb, as the kernel's dm-mpath.c writes it."""
    first, second = states
    return f"0 2097152 multipath 2 0 0 0 2 1 A 0 1 2 8:0 {first} 0 0 1 E 0 1 2 8:16 {second} 3 0 1\n"


class Multipath:
    """What dm-multipath says of the map over sda and sdb."""

    def __init__(self, host: KvmHost) -> None:
        assert isinstance(host.access, libvirt.Machine)
        self.access = host.access

    def says(self, *states: str) -> None:
        self.access.multipath_status = status(*states) if states else ""


@pytest.fixture
def multipath(host: KvmHost) -> Multipath:
    return Multipath(host)


def test_a_device_without_paths_is_not_given_away(host: KvmHost, tmp_path: Path) -> None:
    lost(tmp_path, "7:0:0:2")
    with pytest.raises(Refused, match=r"Host kvm01 has LUN .*, and no path to it does I/O \(sdc dead\): see what its paths lack"):
        later(host, OTHER)


def test_a_lun_whose_paths_come_back_is_waited_for(host: KvmHost, tmp_path: Path) -> None:
    lost(tmp_path, "7:0:0:2")
    found = later(host, OTHER, lambda: None, lambda: back(tmp_path, "7:0:0:2"))
    assert found.path == f"/dev/disk/by-id/{OTHER.wwn}"


def test_paths_that_run_and_that_multipath_does_not_use_yet_would_hang_a_vm_and_are_waited_for(host: KvmHost, multipath: Multipath) -> None:
    multipath.says("F", "F")
    given: list[str] = []

    def one_is_back() -> None:
        assert given == []
        multipath.says("F", "A")

    given.append(later(host, NAME, lambda: None, one_is_back).path)
    assert given == [f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"]


@pytest.mark.parametrize(
    ("states", "dead", "words"),
    [
        (("F", "F"), (), r"\(sda failed, sdb failed\)"),
        (("F", "A"), ("7:0:1:1",), r"\(sda failed, sdb dead\)"),
        ((), (), r"\(sda failed, sdb failed\)"),
    ],
    ids=["all failed", "the one that multipath uses is dead", "a map without a table"],
)
def test_a_map_that_sends_no_path_anything_is_refused_in_the_end(
    host: KvmHost, tmp_path: Path, multipath: Multipath, states: Sequence[str], dead: Sequence[str], words: str
) -> None:
    multipath.says(*states)
    lost(tmp_path, *dead)
    with pytest.raises(Refused, match=rf"Host kvm01 has LUN {NAME}, and no path to it does I/O {words}: .*multipath -ll mpatha there"):
        later(host, NAME)


def test_a_map_that_is_suspended_is_waited_for_and_refused_in_the_end(host: KvmHost, tmp_path: Path, multipath: Multipath) -> None:
    multipath.says("A", "A")
    suspended = tmp_path / "sys/devices/virtual/block/dm-0/dm/suspended"
    suspended.write_text("1\n")
    with pytest.raises(Refused, match=rf"device mpatha of LUN {NAME} on host kvm01 is suspended \(sda active, .*dmsetup resume mpatha"):
        later(host, NAME)
    assert later(host, NAME, lambda: suspended.write_text("0\n") and None).path.endswith(NAME.wwid)


def test_a_path_that_the_kernel_has_given_up_is_lost_and_not_given_away(host: KvmHost, tmp_path: Path) -> None:
    """Linux removes the devices of a port that stays away, and has them again when it is back (dev_loss_tmo)."""
    lost(tmp_path, "7:0:0:2")

    def removed() -> None:
        (tmp_path / "sys/class/scsi_device/7:0:0:2").rename(tmp_path / "away")
        (tmp_path / "sys/class/block/sdc").unlink()

    with pytest.raises(Refused, match=r"no path to it does I/O \(no path is left\)"):
        later(host, OTHER, removed)


def test_a_path_that_is_out_of_reach_is_not_asked_which_lun_it_is(host: KvmHost, tmp_path: Path) -> None:
    lost(tmp_path, "7:0:1:1")
    host_lun.source(host, NAME)
    assert [asked.parent.name for asked in tmp_path.rglob("rescan")] == ["7:0:0:1"]


def test_a_device_that_is_taken_out_of_service_is_not_given_away(host: KvmHost, tmp_path: Path) -> None:
    next(tmp_path.rglob("7:0:0:2/state")).write_text("quiesce\n")
    with pytest.raises(Refused, match=r"LUN .* is off on host kvm01: repair its paths"):
        host_lun.source(host, OTHER)
