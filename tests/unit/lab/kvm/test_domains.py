# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The world's domains as libvirt's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.lab import world
from tests.lab.kvm.domains import Boot, domain_xml, moved_guest
from tests.lab.kvm.host import lab_places

WORLD = world.on_network(world.build(), "127.9.8")
PLACES = lab_places(WORLD, Path("/lab"))
DOMAINS: dict[str, Any] = {domain["name"]: domain for domain in WORLD["kvm"]["domains"]}
BOOT = Boot(Path("/k"), Path("/i"), 2222, "qemu")


def parsed(name: str, boot: Boot | None = None) -> ET.Element:
    return ET.fromstring(domain_xml(DOMAINS[name], PLACES, boot))


def test_the_array_of_a_lab_with_real_luns_is_on_addresses_of_this_machine() -> None:
    svm = WORLD["array"]["svms"][0]
    assert svm["portals"] == ["127.9.8.11", "127.9.8.12"]
    assert "192.0.2." not in str(WORLD)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_every_domain_has_its_name_uuid_and_disks(name: str) -> None:
    root = parsed(name)
    assert root.findtext("name") == name
    assert root.findtext("uuid") == DOMAINS[name]["uuid"]
    assert [target.get("dev") for target in root.iterfind("./devices/disk/target")] == [disk["target"] for disk in DOMAINS[name]["disks"]]


def test_a_lun_is_named_by_target_unit_portal_and_initiator() -> None:
    source = parsed("archive01").find("./devices/disk[@type='network']/source")
    assert source is not None
    assert source.get("name") == f"{WORLD['array']['svms'][0]['iqn']}/1"
    assert [host.get("name") for host in source.iterfind("host")] == ["127.9.8.11"]
    assert [iqn.get("name") for iqn in source.iterfind("initiator/iqn")] == [WORLD["kvm"]["iqn"]]


def test_a_crowded_domain_has_a_port_for_each_device_and_none_to_spare() -> None:
    ports = parsed("crowded01").findall("./devices/controller[@model='pcie-root-port']")
    assert len(ports) == 1
    assert not parsed("crowded01").findall("./devices/controller[@type='scsi']")


def test_a_guest_that_moves_keeps_all_but_its_image_and_port() -> None:
    before = domain_xml(DOMAINS["lnx01"], PLACES, BOOT)
    after = moved_guest(before, Path("/elsewhere/lnx01.qcow2"), 3333)
    assert after.replace("/elsewhere/", "/lab/images/").replace("127.0.0.1:3333-", "127.0.0.1:2222-") == before
    assert "/elsewhere/lnx01.qcow2" in after
    assert "hostfwd=tcp:127.0.0.1:3333-:22" in after
