# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datastores as places for the mapping file of a raw disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import Home

VMFS = Home("ds_single", "VMFS", supported=True, usable=True, free_bytes=1024**3)


def test_a_mounted_vmfs_datastore_with_space_is_fit() -> None:
    assert VMFS.fit
    VMFS.refuse_unless_fit("app01", "ds_span")


@pytest.mark.parametrize(
    ("home", "message"),
    [
        (replace(VMFS, name="nfs01", kind="NFS", supported=False), "Datastore nfs01 for VM app01 is of type NFS, which cannot hold"),
        (replace(VMFS, usable=False), "Datastore ds_single for VM app01 is not accessible from the host, or in maintenance"),
        (replace(VMFS, free_bytes=4096), "Datastore ds_single for VM app01 has only 4096 bytes free"),
    ],
)
def test_an_unfit_one_is_refused_naming_those_that_would_do(home: Home, message: str) -> None:
    assert not home.fit
    with pytest.raises(Refused, match=rf"{message}.*: name another one in the option datastore \(ds_span, ds_x\)"):
        home.refuse_unless_fit("app01", "ds_span, ds_x")
