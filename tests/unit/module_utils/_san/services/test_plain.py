# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Model objects become what a module may return."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import About, Capabilities, Cluster, LunPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from tests.unit.ports import NAME


def test_objects_become_dictionaries_lists_and_scalars() -> None:
    about = About(
        "t", "p", "1", "a", clusters=(Cluster("prod", ("esx1",)),), capabilities=Capabilities(True, True, (), ("pvscsi",), True, False)
    )
    found = plain(about)
    assert found["clusters"] == [{"name": "prod", "hosts": ["esx1"]}]
    assert found["capabilities"]["controller_types"] == ["pvscsi"]


def test_a_lun_is_its_bare_identity_and_nothing_stays_nothing() -> None:
    assert plain(LunPath(NAME, "d", "t", "active")) == {"name": NAME.naa, "device": "d", "target": "t", "state": "active", "lun_id": None}
    assert plain({"a": (None, {"b": 1})}) == {"a": [None, {"b": 1}]}
