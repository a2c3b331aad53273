# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to the host beside its libvirt."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.kvm.access import OnlyLibvirt, ThisMachine, access_to, tree_of
from ansible_collections.crossvisor.san.plugins.module_utils.wire.libvirt_uri import parse


def test_a_local_uri_gives_the_machines_own_files() -> None:
    access = access_to(parse("qemu:///system"), 1)
    tree = tree_of(access)
    assert tree is not None
    assert tree.exists("/proc/self")


def test_a_remote_uri_gives_none() -> None:
    access = access_to(parse("qemu+tls://kvm01/system"), 1)
    assert (access.root(), tree_of(access)) == (None, None)
    for change in (lambda: access.write("/sys/x", "1"), lambda: access.run(["multipath"], 1)):
        with pytest.raises(Refused, match=r"run the task on the host itself with hypervisor\.uri=qemu:///system"):
            change()


def test_a_file_is_written_below_the_root(tmp_path: Path) -> None:
    ThisMachine(1, tmp_path).write("/scan", "- - -")
    assert (tmp_path / "scan").read_text() == "- - -"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "-c", "echo map in use >&2; exit 1"], "failed on the KVM host: map in use"),
        (["sh", "-c", "exit 3"], "failed on the KVM host: it ended with 3"),
        (["/nowhere/multipath"], "could not be run on the KVM host"),
        (["sleep", "5"], "could not be run on the KVM host: .*timed out"),
    ],
)
def test_a_command_that_fails_is_told(command: list[str], words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        ThisMachine(1).run(command, 0.2)


def test_dialling_goes_from_here_in_both_cases() -> None:
    assert callable(ThisMachine(1).dial)
    assert callable(OnlyLibvirt(parse("qemu+tls://kvm01/system"), 1).dial)
