# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SCSI and dm-multipath say of a LUN's paths, of which neither suffices alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import path_states
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.path_states import PathStates
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import multipath
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import libvirt
from tests.unit.kvm_host import SAN_HOST
from tests.unit.libvirt import Connect
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

QUEUEING = "0 2097152 multipath 2 0 1 1 2 1 A 0 1 2 8:0 A 0 0 1 E 0 1 2 8:16 F 3 0 1"
"""As the kernel's dm-mpath.c prints it, with a hardware handler and an argument of the path selector for each path."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path, SAN_HOST)


def seen(root: Path, status: str | None, name: ScsiName = NAME) -> PathStates:
    host, tree = libvirt.host(Connect(), root), Tree(root)
    assert isinstance(host.access, libvirt.Machine)
    host.access.multipath_status = status
    return path_states.look(host, tree, multipath.grouping(tree, name))


def states(found: PathStates) -> Mapping[str, str]:
    return dict(found.states)


def test_a_path_is_active_when_both_say_so(root: Path) -> None:
    found = seen(root, QUEUEING)
    assert (states(found), found.silent) == ({"sda": "active", "sdb": "failed"}, False)
    next(root.rglob("7:0:0:1/state")).write_text("blocked\n")
    found = seen(root, QUEUEING)
    assert (states(found), found.silent) == ({"sda": "dead", "sdb": "failed"}, True)


def test_a_map_that_has_no_table_yet_sends_nothing_anywhere(root: Path) -> None:
    assert states(seen(root, "")) == {"sda": "failed", "sdb": "failed"}


def test_where_the_host_does_not_tell_of_multipath_scsi_is_believed(root: Path) -> None:
    found = seen(root, None)
    assert (states(found), found.silent) == ({"sda": "active", "sdb": "active"}, False)


def test_without_a_map_nobody_is_asked_for_one(root: Path) -> None:
    found = seen(root, "", OTHER)
    assert (states(found), found.silent) == ({"sdc": "active"}, False)


def test_a_lun_that_has_lost_its_paths_is_silent(root: Path) -> None:
    found = seen(root, None, ScsiName.from_ontap_serial("80Lab-aaaaa8"))
    assert (found.silent, "(no path is left)" in found.why()) == (True, True)
