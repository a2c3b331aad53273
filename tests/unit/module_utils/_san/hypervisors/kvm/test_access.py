# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to the host beside its libvirt."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import (
    HostAccess,
    OnlyLibvirt,
    ThisMachine,
    access_to,
    tree_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import parse


def test_a_local_uri_gives_the_machines_own_files() -> None:
    access = access_to(parse("qemu:///system"), 1)
    tree = tree_of(access)
    assert tree is not None
    assert tree.exists("/proc/self")


def test_a_remote_uri_gives_none() -> None:
    access = access_to(parse("qemu+tls://kvm01/system"), 1)
    assert (access.root(), tree_of(access)) == (None, None)
    with pytest.raises(Refused, match=r"run the task on the host itself with hypervisor\.uri=qemu:///system"):
        access.write("/sys/x", "1")
    assert access.claimed(["sda"]) == {}
    with pytest.raises(Refused, match="cannot be changed from here"):
        access.run(["multipath"], 1)


def test_whether_a_device_is_claimed_is_told_only_of_those_that_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in ("sda", "sdb", "sdc"):
        (tmp_path / "dev" / block).parent.mkdir(exist_ok=True)
        (tmp_path / "dev" / block).touch()
    answers = {"sda": OSError(errno.EBUSY, "busy"), "sdb": PermissionError(errno.EACCES, "no")}
    opened = os.open

    def refuse(path: str, flags: int) -> int:
        if Path(path).name in answers:
            raise answers[Path(path).name]
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    assert ThisMachine(1, tmp_path).claimed(["sda", "sdb", "sdc", "sdd"]) == {}, "a file tells nothing of a block device"
    monkeypatch.setattr(Path, "is_block_device", Path.exists)
    assert ThisMachine(1, tmp_path).claimed(["sda", "sdb", "sdc", "sdd"]) == {"sda": True, "sdc": False}


def test_a_file_is_written_below_the_root(tmp_path: Path) -> None:
    ThisMachine(1, tmp_path).write("/scan", "- - -")
    assert (tmp_path / "scan").read_text() == "- - -"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "-c", "echo map in use >&2; exit 1"], "on the KVM host failed: map in use"),
        (["sh", "-c", "exit 3"], "on the KVM host failed: it ended with 3"),
        (["/nowhere/multipath"], "on the KVM host could not be run"),
        (["sleep", "5"], r"on the KVM host did not end within 0\.2 s"),
    ],
)
def test_a_command_that_fails_is_told(command: list[str], words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        ThisMachine(1).run(command, 0.2)


def test_dialling_goes_from_here_in_both_cases() -> None:
    assert callable(ThisMachine(1).dial)
    assert callable(OnlyLibvirt(parse("qemu+tls://kvm01/system"), 1).dial)


@pytest.fixture
def over_ssh(tmp_path: Path) -> Iterator[HostAccess]:
    """A host behind an ssh that runs what it is told on this machine, and tunnels by saying where to."""
    ssh = tmp_path / "ssh"
    ssh.write_text(
        '#!/bin/sh\n[ "$1" = -W ] && { printf "%s" "$2"; exit; }\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"\n'
    )
    ssh.chmod(0o755)
    access = access_to(parse(f"qemu+ssh://root@kvm01/system?command={ssh}"), 20)
    yield access
    access.close()


def test_over_ssh_the_hosts_files_are_copied_anew_each_time(over_ssh: HostAccess) -> None:
    first, second = over_ssh.root(), over_ssh.root()
    assert first is not None
    assert second is not None
    assert first != second
    assert Tree(second).text("/proc/1/mountinfo")


def test_over_ssh_the_host_tells_with_the_copy_what_is_claimed(over_ssh: HostAccess) -> None:
    assert over_ssh.claimed(["sda"]) == {}, "nothing was asked yet"
    copy = over_ssh.root()
    assert copy is not None
    blocks = Tree(copy).children("/sys/class/block")
    assert over_ssh.claimed([*blocks, "nosuch"]) == host_copy.claimed(copy)


def test_nothing_of_the_copies_is_left(over_ssh: HostAccess) -> None:
    copy = over_ssh.root()
    assert copy is not None
    over_ssh.close()
    assert not copy.exists()


def test_over_ssh_files_are_written_and_commands_run_with_their_words_kept(over_ssh: HostAccess, tmp_path: Path) -> None:
    over_ssh.write(str(tmp_path / "a file"), "- - -")
    over_ssh.run(["cp", str(tmp_path / "a file"), str(tmp_path / "it's")], 5)
    assert (tmp_path / "it's").read_text() == "- - -"
    with pytest.raises(RemoteError, match=r"multipath-nowhere -f x on kvm01 failed: .*not found"):
        over_ssh.run(["multipath-nowhere", "-f", "x"], 5)


def test_over_ssh_portals_are_dialled_from_the_host(over_ssh: HostAccess) -> None:
    with over_ssh.dial(Portal("2001:db8::5", 3260)) as stream:
        assert stream.recv(100) == b"[2001:db8::5]:3260"


def test_a_host_that_gives_no_copy_has_no_files(tmp_path: Path) -> None:
    assert access_to(parse(f"qemu+ssh://kvm01/system?command={tmp_path}/nowhere"), 1).root() is None
