# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies under storage repositories, and which are this collection's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.probing import IscsiTarget
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.xapi import LUN, OTHER, TARGET

NAMES = st.from_regex(r"\A6[0-9a-f]{31}\Z").map(ScsiName)


def test_the_uuid_of_a_vdi_is_the_md5_of_its_scsi_id() -> None:
    assert repositories.vdi_uuid(ScsiName("600a098038304c61622d616161616131")) == "68fe3b06-eac1-3900-796f-dcdc46f0cf4e"


@given(NAMES, st.integers(min_value=0, max_value=2**60))
def test_a_mark_is_read_back_with_its_lun_and_size(name: ScsiName, size: int) -> None:
    record = {"name_description": repositories.mark(name, size)}
    assert (repositories.marked(record), repositories.marked_size(record)) == (name, size)
    bare = {"name_description": repositories.mark(name)}
    assert (repositories.marked(bare), repositories.marked_size(bare)) == (name, 0)


RUN = "9b1d4f0e-6c38-4f0e-9a55-2f7c1f6f0a11"


def test_each_mark_tells_its_run_and_is_none_of_the_others() -> None:
    own = {"name_description": repositories.mark(LUN, 5, RUN)}
    target = {"name_description": repositories.target_mark("iqn.2026-11.com.example:array", RUN)}
    passing = {"name_description": repositories.passing_mark(RUN)}
    assert [repositories.marked_run(record) for record in (own, target, passing)] == [RUN] * 3
    assert [repositories.marked(record) for record in (own, target, passing)] == [LUN, None, None]
    assert [repositories.marked_target(record) for record in (own, target, passing)] == ["", "iqn.2026-11.com.example:array", ""]
    assert [repositories.is_passing_mark(record) for record in (own, target, passing)] == [False, False, True]
    assert repositories.marked_run({"name_description": f"{own['name_description']} (kept)"}) == ""


@pytest.mark.parametrize("text", ["", "LUN x, made by crossvisor.san", f"my {repositories.mark(LUN)}", f"{repositories.mark(LUN)}!"])
def test_what_somebody_else_wrote_is_no_mark(text: str) -> None:
    assert repositories.marked({"name_description": text}) is None


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"SCSIid": LUN.xapi}, [LUN]),
        ({"SCSIid": f"{LUN.xapi}, {OTHER.xapi}"}, [LUN, OTHER]),
        ({"provider": "hba", "ScsiId": LUN.xapi}, [LUN]),
        ({"device": f"/dev/disk/by-id/scsi-{LUN.xapi}-part3"}, [LUN]),
        ({"device": "/dev/sda3"}, []),
        ({}, []),
    ],
)
def test_the_luns_that_a_pbd_names(config: dict[str, str], found: list[ScsiName]) -> None:
    assert repositories.names(config) == found


def test_a_target_is_told_without_its_secret() -> None:
    config = {**TARGET, "target": "192.0.2.11,192.0.2.12", "port": "3260", "chapuser": "u", "chappassword": "secret"}
    found = repositories.target(config)
    assert found == IscsiTarget("192.0.2.11", "3260", TARGET["targetIQN"])
    assert found is not None
    assert dict(found.device_config) == {"target": "192.0.2.11", "targetIQN": TARGET["targetIQN"], "port": "3260"}
    assert repositories.target({"target": "192.0.2.11"}) is None
