# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hyper-V's key-value pairs, as its daemon keeps them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.kvp import host_version, parse_pool, physical_host
from tests.unit.module_utils._san.linux.machines import kvp

NAMES = st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=60)


@given(st.dictionaries(NAMES, NAMES))
def test_every_pair_is_read_as_it_was_written(pairs: dict[str, str]) -> None:
    assert parse_pool(kvp(**pairs)) == pairs


@given(st.binary(max_size=6000))
def test_no_content_makes_it_fail(content: bytes) -> None:
    assert len(parse_pool(content)) <= len(content) // 2560


def test_a_record_that_is_cut_short_is_left_out() -> None:
    assert parse_pool(kvp(HostName="hv01", PhysicalHostName="HV01")[:-1]) == {"HostName": "hv01"}


def test_a_removed_pair_has_no_key() -> None:
    assert parse_pool(bytes(2560) + kvp(HostName="hv01")) == {"HostName": "hv01"}


def test_the_fully_qualified_name_of_the_host_goes_before_the_short_ones() -> None:
    short = {"HostName": "hv01", "PhysicalHostName": "HV01"}
    assert physical_host({**short, "PhysicalHostNameFullyQualified": "hv01.corp.example"}) == "hv01.corp.example"
    assert physical_host({**short, "PhysicalHostNameFullyQualified": ""}) == "HV01"
    assert physical_host({}) == ""


def test_the_version_of_the_host() -> None:
    assert host_version({"HostingSystemOsMajor": "10", "HostingSystemOsMinor": "0"}) == "10.0"
    assert host_version({}) == ""
