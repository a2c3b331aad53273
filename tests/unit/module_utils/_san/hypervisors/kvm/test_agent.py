# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt tells a guest agent to hold still, and what is noted of it in the VM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, NotFound, OutcomeUnknown, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import FreezeNote, GuestFileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.agent import KvmAgent
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import AgentRefused
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, LibvirtError, domain_xml, network_lun, uuid_of
from tests.unit.ports import NAME, OTHER

MOUNTED = [
    ("/srv/data", "sda1", "xfs", ["sda"]),
    ("/srv/again", "sda1", "xfs", ["sda"]),
    ("/srv/log", "dm-0", "ext4", ["sda"]),
    ("/", "vda1", "ext4", ["vda"]),
]


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 7: OTHER})) as there:
        yield there


@pytest.fixture
def app(target: IscsiTarget) -> Domain:
    """A VM that runs with the LUN."""
    xml = domain_xml("app", VIRTIO_SCSI + network_lun(target, 1))
    return Domain("app", xml, xml, mounted=list(MOUNTED))


@pytest.fixture
def agent(app: Domain, target: IscsiTarget, tmp_path: Path) -> KvmAgent:
    return KvmAgent(libvirt.host(Connect([app], [libvirt.san_pool(target)]), tmp_path), VirtualMachine(uuid_of("app"), "app"))


def test_each_file_system_on_the_lun_is_found_once(agent: KvmAgent) -> None:
    assert agent.file_systems([NAME]) == [
        GuestFileSystem(str(NAME.naa), "sda1", "/srv/data"),
        GuestFileSystem(str(NAME.naa), "dm-0", "/srv/log"),
    ]


def test_a_file_system_that_may_lie_on_the_lun_is_held_still_with_those_that_do(agent: KvmAgent, app: Domain) -> None:
    assert app.mounted is not None
    app.mounted += [("/mnt/nvme", "nvme0n1", "xfs", []), ("/snap/core/1", "loop0", "squashfs", [])]
    assert [(one.naa, one.mount) for one in agent.file_systems([NAME])] == [
        (NAME.naa, "/srv/data"),
        (NAME.naa, "/srv/log"),
        ("", "/mnt/nvme"),
    ]


def test_where_nobody_knows_whether_any_lies_on_the_lun_none_is_said_to_be_held_still(agent: KvmAgent, app: Domain) -> None:
    app.mounted = [("/srv/data", "sdz", "xfs", []), ("/", "vda1", "ext4", ["vda"])]
    with pytest.raises(Refused, match="The agent in VM app does not tell on which disk /srv/data lies, so that nobody knows"):
        agent.file_systems([NAME])


def test_a_snap_may_lie_on_any_disk_and_holds_nothing_to_be_written(agent: KvmAgent, app: Domain) -> None:
    app.mounted = [("/snap/core/1", "loop0", "squashfs", []), ("/", "vda1", "ext4", ["vda"])]
    assert agent.file_systems([NAME]) == []


def test_a_lun_that_the_vm_does_not_have_is_told(agent: KvmAgent) -> None:
    with pytest.raises(NotFound, match=r"VM app does not have LUN .* as a disk: name the VM that has it"):
        agent.file_systems([OTHER])


def test_a_vm_that_is_off_has_no_agent(agent: KvmAgent, app: Domain) -> None:
    app.live = ""
    with pytest.raises(Refused, match="VM app does not run, so that no agent holds its file systems still"):
        agent.file_systems([NAME])


def test_a_vm_that_is_off_has_no_note(agent: KvmAgent, app: Domain) -> None:
    agent.note(FreezeNote("0123456789abcdef"))
    app.live = ""
    assert agent.noted() is None


def test_a_guest_without_an_agent_is_told(agent: KvmAgent, app: Domain) -> None:
    app.mounted = None
    with pytest.raises(Refused, match="No guest agent answers in VM app: start qemu-guest-agent there"):
        agent.file_systems([NAME])


def test_a_guest_that_somebody_else_holds_still_is_told(agent: KvmAgent, app: Domain) -> None:
    app.frozen = {"vda1"}
    with pytest.raises(Refused, match=r"VM app are frozen already, by somebody else .*virsh domfsthaw app"):
        agent.file_systems([NAME])


def test_it_holds_still_what_it_is_told_and_lets_go_of_it(agent: KvmAgent, app: Domain) -> None:
    assert agent.freeze(["/srv/data", "/srv/log"], 5) == 2
    assert app.frozen == {"sda1", "dm-0"}
    assert (agent.thaw(5), agent.thaw(5), app.frozen) == (2, 0, set())
    assert app.agent_seconds == -2


def test_what_was_frozen_in_the_guest_is_missing_in_the_count(agent: KvmAgent, app: Domain) -> None:
    app.frozen_by_others = {"sda1"}
    assert agent.freeze(["/srv/data", "/srv/log"], 5) == 1


def test_a_second_freeze_is_refused_by_the_agent_itself(agent: KvmAgent) -> None:
    agent.freeze(["/srv/data"], 5)
    with pytest.raises(AgentRefused, match="has been disabled: the agent is in frozen state"):
        agent.freeze(["/srv/log"], 5)


def test_of_an_agent_that_does_not_answer_nobody_knows_what_it_does(agent: KvmAgent, app: Domain) -> None:
    app.hanging = "for good"
    with pytest.raises(OutcomeUnknown, match="could not hold the guest's file systems still"):
        agent.freeze(["/srv/data"], 5)
    with pytest.raises(OutcomeUnknown, match="could not let go of the guest's file systems"):
        agent.thaw(5)


def test_a_note_is_kept_with_what_runs_until_it_is_forgotten(agent: KvmAgent, app: Domain) -> None:
    assert agent.noted() is None
    agent.note(FreezeNote("0123456789abcdef"))
    agent.note(FreezeNote("0123456789abcdef", 2))
    assert (agent.noted(), len(app.notes)) == (FreezeNote("0123456789abcdef", 2), 1)
    agent.forget()
    assert (agent.noted(), app.notes) == (None, {})


def test_a_note_that_cannot_be_read_is_an_error_of_ours(agent: KvmAgent, app: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_asked: object) -> str:
        raise LibvirtError("access denied", 88)

    monkeypatch.setattr(app, "metadata", denied)
    with pytest.raises(CrossvisorError, match="does not allow to read the note of a VM"):
        agent.noted()
