# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to the host beside its libvirt."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import access, host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import (
    OnlyLibvirt,
    OverSsh,
    ThisMachine,
    access_to,
    tree_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import parse
from tests.unit.fake_ssh import COPY, LOGIN, LOOK, ORDER, FakeSsh, fake_ssh
from tests.unit.kvm_host import PORT, SAN_HOST
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import OTHER

pytestmark = pytest.mark.slow


def test_a_local_uri_gives_the_machines_own_files() -> None:
    access = access_to(parse("qemu:///system"), 1)
    tree = tree_of(access)
    assert tree is not None
    assert tree.exists("/proc/self")


def test_a_remote_uri_gives_none() -> None:
    access = access_to(parse("qemu+tls://kvm01/system"), 1)
    assert (access.root(), tree_of(access)) == (None, None)
    with pytest.raises(Refused, match=r"run the task on the host itself with hypervisor\.uri=qemu:///system"):
        access.write([("/sys/x", "1")])
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
    ThisMachine(1, tmp_path).write([("/scan", "- - -")])
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
def fake(tmp_path: Path) -> FakeSsh:
    """An ssh that runs what it is told on this machine, whose files are the host's, and tunnels by saying where to."""
    return fake_ssh(tmp_path / "bin", Path("/"))


@pytest.fixture
def over_ssh(fake: FakeSsh) -> Iterator[OverSsh]:
    access = fake.access()
    yield access
    access.close()


PROGRAM = 'import sys; sys.stdout.write(sys.stdin.read().upper() + "\'")'


def test_a_question_is_answered_by_the_machines_own_python_from_what_it_reads(over_ssh: OverSsh, fake: FakeSsh) -> None:
    assert ThisMachine(5).ask(PROGRAM, b"where is it", 5) == over_ssh.ask(PROGRAM, b"where is it", 5) == b"WHERE IS IT'"
    assert fake.counts()[ORDER] == 1


def test_a_question_that_fails_there_is_a_sentence_with_what_was_said(over_ssh: OverSsh) -> None:
    with pytest.raises(RemoteError, match="a look at where files lie on kvm01 failed: no such luck"):
        over_ssh.ask("import sys; sys.exit('no such luck')", b"", 5)


def test_where_files_lie_libvirt_does_not_know() -> None:
    with pytest.raises(Refused, match=r"reach it by qemu\+ssh://, or run the task on the host itself"):
        access_to(parse("qemu+tls://kvm01/system"), 1).ask(PROGRAM, b"", 1)


def test_over_ssh_the_hosts_files_are_a_copy(over_ssh: OverSsh) -> None:
    copy = over_ssh.root()
    assert copy is not None
    assert Tree(copy).text("/proc/1/mountinfo")


@pytest.fixture
def planted(tmp_path: Path) -> FakeSsh:
    """An ssh before a host with a SAN, in a tree of files."""
    return fake_ssh(tmp_path / "bin", plant(tmp_path / "host", SAN_HOST))


@pytest.fixture
def moments() -> list[float]:
    return [0.0]


@pytest.fixture
def over_san(planted: FakeSsh, moments: list[float]) -> Iterator[OverSsh]:
    access = OverSsh(parse(f"qemu+ssh://root@kvm01/system?command={planted.program}"), 20, lambda: moments[0])
    yield access
    access.close()


def test_what_was_just_looked_at_is_not_looked_at_again(planted: FakeSsh, over_san: OverSsh) -> None:
    assert over_san.root() == over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1}


def test_later_the_host_is_asked_and_copied_only_if_anything_has_changed(
    planted: FakeSsh, over_san: OverSsh, moments: list[float], tmp_path: Path
) -> None:
    first = over_san.root()
    moments[0] = 2.0
    assert over_san.root() == first
    assert planted.counts() == {LOGIN: 1, COPY: 1, LOOK: 1}
    (tmp_path / "host/proc/1/mountinfo").write_text("40 27 8:32 / /mnt rw - ext4 /dev/sdc rw\n")
    moments[0] = 4.0
    second = over_san.root()
    assert second != first
    assert second is not None
    assert "/mnt" in (Tree(second).text("/proc/1/mountinfo") or "")
    assert planted.counts() == {LOGIN: 1, COPY: 2, LOOK: 1}


def test_a_change_of_a_disk_or_of_its_use_is_noticed(planted: FakeSsh, over_san: OverSsh, moments: list[float], tmp_path: Path) -> None:
    path = f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:1"
    changes = [
        (f"{path}/block/sda/size", "1"),
        (f"{path}/state", "offline"),
        (f"{path}/wwid", f"naa.{OTHER.naa}"),
        ("/sys/devices/virtual/block/dm-0/dm/uuid", "mpath-3x"),
        ("/proc/77/comm", "multipathd"),
    ]
    over_san.root()
    for number, (file, text) in enumerate(changes, 1):
        plant(tmp_path / "host", {file: text})
        moments[0] += 2.0
        over_san.root()
        assert planted.counts()[COPY] == 1 + number, file


def test_for_one_decision_the_host_is_asked_once_however_long_that_takes(planted: FakeSsh, over_san: OverSsh, moments: list[float]) -> None:
    for _decision in range(2):
        moments[0] += 100.0
        with moment.one():
            for _question in range(3):
                over_san.root()
                moments[0] += 100.0
    assert planted.counts() == {LOGIN: 1, COPY: 1, LOOK: 1}


def test_a_decision_rests_on_nothing_that_was_seen_before_be_it_only_just(planted: FakeSsh, over_san: OverSsh) -> None:
    over_san.root()
    for _decision in range(2):
        with moment.one():
            over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1, LOOK: 2}


def test_what_was_changed_meanwhile_is_seen_in_the_same_decision(planted: FakeSsh, over_san: OverSsh) -> None:
    with moment.one():
        over_san.root()
        over_san.changed()
        over_san.root()
        over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1, LOOK: 1}


def test_after_a_decision_each_question_is_for_itself_again(planted: FakeSsh, over_san: OverSsh, moments: list[float]) -> None:
    with moment.one():
        over_san.root()
    for now in (2.0, 4.0):
        moments[0] = now
        over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1, LOOK: 2}


def test_after_a_change_of_our_own_the_host_is_asked_at_once(planted: FakeSsh, over_san: OverSsh) -> None:
    over_san.root()
    over_san.write([("/sys/class/scsi_host/host7/scan", "- - -")])
    over_san.root()
    over_san.changed()
    over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1, ORDER: 1, LOOK: 2}


def test_a_host_that_gave_a_copy_and_gives_none_any_more_is_no_host_without_files(
    planted: FakeSsh, over_san: OverSsh, moments: list[float]
) -> None:
    assert over_san.root()
    planted.refuse()
    moments[0] = 2.0
    with pytest.raises(RemoteError, match="a look at the devices on kvm01 failed"):
        over_san.root()


def test_an_order_that_fails_for_one_file_is_given_for_the_others(over_ssh: OverSsh, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"writing to .*nowhere/a, .*there on kvm01 failed: .*nowhere/a"):
        over_ssh.write([(str(tmp_path / "nowhere/a"), "1"), (str(tmp_path / "there"), "1")])
    assert (tmp_path / "there").read_text() == "1"
    with pytest.raises(RemoteError, match="nowhere/a cannot be written"):
        ThisMachine(1, tmp_path).write([("/nowhere/a", "2"), ("/here", "2")])
    assert (tmp_path / "here").read_text() == "2"


def test_over_ssh_the_host_tells_with_the_copy_what_is_claimed(over_ssh: OverSsh) -> None:
    assert over_ssh.claimed(["sda"]) == {}, "nothing was asked yet"
    copy = over_ssh.root()
    assert copy is not None
    blocks = Tree(copy).children("/sys/class/block")
    assert over_ssh.claimed([*blocks, "nosuch"]) == host_copy.claimed(copy)


def test_nothing_of_the_copies_is_left(over_ssh: OverSsh) -> None:
    copy = over_ssh.root()
    assert copy is not None
    over_ssh.close()
    assert not copy.exists()


def test_over_ssh_files_are_written_and_commands_run_with_their_words_kept(over_ssh: OverSsh, tmp_path: Path) -> None:
    over_ssh.write([(str(tmp_path / "a file"), "- - -"), (str(tmp_path / "another"), "1")])
    over_ssh.run(["cp", str(tmp_path / "a file"), str(tmp_path / "it's")], 5)
    assert (tmp_path / "it's").read_text() == "- - -"
    with pytest.raises(RemoteError, match=r"multipath-nowhere -f x on kvm01 failed: .*not found"):
        over_ssh.run(["multipath-nowhere", "-f", "x"], 5)


def test_what_a_command_tells_is_no_change_of_the_host(planted: FakeSsh, over_san: OverSsh) -> None:
    over_san.root()
    assert over_san.told(["printf", "%s", "it's a word"], 5) == "it's a word"
    over_san.root()
    assert planted.counts() == {LOGIN: 1, COPY: 1, ORDER: 1}
    assert ThisMachine(1).told(["printf", "%s", "it's a word"], 5) == "it's a word"
    with pytest.raises(Refused, match="cannot be changed from here"):
        OnlyLibvirt(parse("qemu+tls://kvm01/system"), 1).told(["true"], 5)


def test_over_ssh_portals_are_dialled_from_the_host(over_ssh: OverSsh) -> None:
    with over_ssh.dial(Portal("2001:db8::5", 3260)) as stream:
        assert stream.recv(100) == b"[2001:db8::5]:3260"


def test_a_host_that_gives_no_copy_has_no_files(tmp_path: Path) -> None:
    assert access_to(parse(f"qemu+ssh://kvm01/system?command={tmp_path}/nowhere"), 1).root() is None


class TestTheHostsPython:
    """`python3` is 3.6 on hosts of the eighth release of Enterprise Linux, which may have a later one beside it."""

    @staticmethod
    def ask(place: Path, *pythons: str) -> subprocess.CompletedProcess[str]:
        old = place / "python3"
        old.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
        old.chmod(0o755)
        for name in pythons:
            (place / name).symlink_to(sys.executable)
        script = access._BY_PYTHON.format(shlex.quote("print(input())"))
        return subprocess.run(
            ["/bin/sh", "-c", script], input="asked", capture_output=True, text=True, check=False, env={"PATH": str(place)}
        )

    def test_a_later_one_is_found_and_gets_the_question(self, tmp_path: Path) -> None:
        assert self.ask(tmp_path, "python3.9").stdout == "asked\n"

    def test_without_one_the_host_says_so_in_a_sentence(self, tmp_path: Path) -> None:
        said = self.ask(tmp_path)
        assert (said.returncode, said.stderr) == (1, "there is no Python 3.7 or later\n")
