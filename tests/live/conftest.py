# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab for a whole run of the tests, in its first state for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.launch import running_lab
from tests.live.lab import ARRAY, HYPERVISOR, KVM, SERVERS, WINDOWS, XEN, KvmLab, Lab, WindowsLab, XenLab
from tests.live.modules import ModuleRunner, module_runner


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab, in whatever state it is."""
    with running_lab(SERVERS, tmp_path_factory.mktemp("lab")) as endpoints:
        yield Lab(endpoints)


@pytest.fixture
def lab(running: Lab) -> Lab:
    """The lab as its world describes it, without faults, its requests not yet counted."""
    running.reset()
    return running


@pytest.fixture(scope="session")
def running_windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsLab]:
    """The lab's Windows machines, in whatever state they are."""
    with running_lab((ARRAY, *WINDOWS), tmp_path_factory.mktemp("windows")) as endpoints:
        yield WindowsLab(endpoints)


@pytest.fixture
def windows(running_windows: WindowsLab) -> WindowsLab:
    """The lab's Windows machines as their world describes them, without faults, their requests not yet counted."""
    running_windows.reset()
    return running_windows


@pytest.fixture(scope="session")
def running_xen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XenLab]:
    """The lab's pool of Xen hosts, in whatever state it is."""
    with running_lab((ARRAY, XEN), tmp_path_factory.mktemp("xen")) as endpoints:
        yield XenLab(endpoints)


@pytest.fixture
def xen(running_xen: XenLab) -> XenLab:
    """The lab's pool of Xen hosts as its world describes it, without faults, its requests not yet counted."""
    running_xen.reset()
    return running_xen


@pytest.fixture(scope="module")
def running_both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsLab]:
    """A vCenter and all Windows machines on one array, in whatever state they are."""
    with running_lab((ARRAY, HYPERVISOR, *WINDOWS), tmp_path_factory.mktemp("both")) as endpoints:
        yield WindowsLab(endpoints)


@pytest.fixture(scope="session")
def running_kvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KvmLab]:
    """The lab's KVM host, in whatever state it is."""
    directory = tmp_path_factory.mktemp("kvm")
    with running_lab((ARRAY, KVM), directory) as endpoints:
        yield KvmLab(endpoints, luns=directory / ARRAY / "luns" / "data")


@pytest.fixture
def kvm(running_kvm: KvmLab) -> KvmLab:
    """The lab's KVM host and array as their world describes them."""
    running_kvm.reset()
    return running_kvm


@pytest.fixture(scope="session")
def modules() -> Iterator[ModuleRunner]:
    """A runner of the collection's modules."""
    with module_runner() as runner:
        yield runner
