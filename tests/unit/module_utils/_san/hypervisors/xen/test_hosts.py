# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a pool is, and the initiators of its hosts."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import hosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.hbas import initiators
from tests.unit.xapi import LUN, TARGET, Pool, failure


def test_a_pool_tells_its_product_hosts_and_types_of_repository() -> None:
    pool = Pool()
    about = hosts.about(pool)  # type: ignore[arg-type]
    assert (about.type, about.product, about.version, about.hosts) == ("xen", "XenServer", "8.4.0", ["xen1", "xen2"])
    assert about.capabilities is not None
    assert about.capabilities.storage_types == ["ext", "iscsi", "lvmohba", "lvmoiscsi", "nfs"]
    assert about.capabilities.clustering
    assert [(cluster.name, cluster.hosts) for cluster in about.clusters] == [("lab", ["xen1", "xen2"])]


def test_the_initiators_are_those_of_the_adapters_and_of_the_host() -> None:
    pool = Pool()
    pool.map_fc()
    found = hosts.hosts_with_hbas(pool)  # type: ignore[arg-type]
    assert initiators(found) == {
        "fc": ["10:00:00:00:00:00:00:01", "10:00:00:00:00:00:00:02"],
        "iscsi": ["iqn.2026-11.com.example:xen1", "iqn.2026-11.com.example:xen2"],
    }
    adapter = found[0].hbas[0]
    assert (adapter.kind, adapter.status, adapter.speed_gbit_s, adapter.driver) == ("fc", "online", 16.0, "qla2xxx")
    assert [path.name for path in adapter.paths] == [LUN]


def test_an_older_host_keeps_its_initiator_name_elsewhere() -> None:
    pool = Pool()
    pool.db["host"][pool.master].update(iscsi_iqn="", other_config={"iscsi_iqn": "iqn.2026-11.com.example:old"})
    found = hosts.hosts_with_hbas(pool)  # type: ignore[arg-type]
    assert "iqn.2026-11.com.example:old" in initiators(found)["iscsi"]


def test_the_portals_are_those_of_the_targets_in_use() -> None:
    pool = Pool()
    pool.add_sr("lvmoiscsi", {**TARGET, "port": "3261", "SCSIid": LUN.xapi})
    found = hosts.hosts_with_hbas(pool)  # type: ignore[arg-type]
    assert [(portal.address, portal.port) for portal in found[0].hbas[-1].portals] == [("192.0.2.11", 3261)]


def test_a_host_whose_driver_fails_has_a_warning_and_its_other_initiator() -> None:
    pool = Pool()
    pool.fail["SR.probe"] = failure("SR_BACKEND_FAILURE_202", "", "General backend error")
    first, second = hosts.hosts_with_hbas(pool)  # type: ignore[arg-type]
    assert first.warnings == ["Host xen1 told nothing of its Fibre Channel adapters: SR_BACKEND_FAILURE_202 (General backend error)."]
    assert [hba.kind for hba in first.hbas] == ["iscsi_software"]
    assert not second.warnings


def test_a_host_that_is_not_live_is_not_asked() -> None:
    pool = Pool()
    pool.db["host_metrics"][pool.db["host"][pool.second]["metrics"]]["live"] = False
    found = hosts.hosts_with_hbas(pool)  # type: ignore[arg-type]
    assert pool.calls.count("SR.probe") == 1
    assert found[1].warnings == ["Host xen2 is not live, so that its Fibre Channel adapters are not known."]


def test_a_driver_that_answers_with_a_document_type_is_not_read() -> None:
    pool = Pool()
    pool.fail["SR.probe"] = failure("SR_BACKEND_FAILURE_107", "", "", '<!DOCTYPE a [<!ENTITY b "c">]><Devlist>&b;</Devlist>')
    first = hosts.hosts_with_hbas(pool)[0]  # type: ignore[arg-type]
    assert "did not answer as it should (a document type" in first.warnings[0]
