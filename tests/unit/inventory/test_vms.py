# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory `vms` over hypervisors and arrays in memory; the live tests run it as Ansible does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crossvisor.san.plugins.inventory import vms
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, VirtualDisk, VirtualMachine
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 trusts every text
    trust_as_template = str

DOCUMENTED = yaml.safe_load(vms.DOCUMENTATION)
DEFAULTS = {name: option.get("default") for name, option in DOCUMENTED["options"].items()}
CONSTRUCTED = {"strict": False, "compose": {}, "groups": {}, "keyed_groups": [], "leading_separator": True, "use_extra_vars": False}
ARRAY = {"hostname": "ontap.example.com"}
PASSWORD = "s3cret-of-the-endpoint"

Parse = Callable[..., InventoryData]


def vcenter(name: str, **other: Any) -> dict[str, Any]:
    return {"name": name, "hypervisor": {"hostname": f"{name}.example.com", "password": PASSWORD}, **other}


def machine(name: str, identity: str = "vm-1", *luns: Any) -> VirtualMachine:
    disks = [
        VirtualDisk(str(number), f"Hard disk {number}", "passthrough", "1000", 0, number, name=found) for number, found in enumerate(luns)
    ]
    return VirtualMachine(identity, name, host="h1", cluster="prod", disks=disks)


def trusted(value: Any) -> Any:
    """The value as Ansible reads it from a user's file, where texts may be templates."""
    if isinstance(value, dict):
        return {name: trusted(part) for name, part in value.items()}
    if isinstance(value, list):
        return [trusted(part) for part in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Estate:
    """What answers under which host name."""

    def __init__(self) -> None:
        self.hypervisors: dict[str, MemoryHypervisor] = {}
        self.asked: list[str] = []
        self.array = MemoryArray(lun(NAME))

    def has(self, endpoint: str, *machines: VirtualMachine) -> MemoryHypervisor:
        there = MemoryHypervisor([Host("h1", "esx1", "prod")], list(machines))
        self.hypervisors[f"{endpoint}.example.com"] = there
        return there

    def open_hypervisor(self, params: Mapping[str, Any], _kept: object) -> MemoryHypervisor:
        self.asked.append(params["hostname"])
        if params["hostname"] not in self.hypervisors:
            raise RemoteError(f"{params['hostname']} is down.")
        return self.hypervisors[params["hostname"]]

    def open_array(self, _params: object, _kept: object) -> MemoryArray:
        return self.array


@pytest.fixture
def estate(monkeypatch: pytest.MonkeyPatch) -> Estate:
    there = Estate()
    monkeypatch.setattr(hypervisors, "open_given", there.open_hypervisor)
    monkeypatch.setattr(arrays, "open_given", there.open_array)
    monkeypatch.delenv("CROSSVISOR_ARRAY_HOSTNAME", raising=False)
    return there


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(vms.InventoryModule, "_warn", lambda _self, text: told.append(text))
    return told


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> Parse:
    """The inventory that a file with these options gives; with `kept`, that is its cache."""

    def parsed(*endpoints: Mapping[str, Any], cache: bool = True, kept: dict[str, Any] | None = None, **options: Any) -> InventoryData:
        source, inventory = vms.InventoryModule(), InventoryData()
        given = {**CONSTRUCTED, **DEFAULTS, "cache": kept is not None, "endpoints": list(endpoints), **options}
        monkeypatch.setattr(source, "_read_config_data", lambda _path: source._options.update(trusted(given)))
        monkeypatch.setattr(source, "get_cache_key", lambda path: path)
        source._cache = kept
        source.parse(inventory, DataLoader(), "san.crossvisor.yml", cache)
        return inventory

    return parsed


def hosts(inventory: InventoryData, group: str = "all") -> list[str]:
    return sorted(host.name for host in inventory.groups[group].get_hosts()) if group != "all" else sorted(inventory.hosts)


@pytest.mark.parametrize(
    ("name", "taken"), [("san.crossvisor.yml", True), ("san.crossvisor.yaml", True), ("san.yml", False), ("crossvisor.yml.txt", False)]
)
def test_a_file_is_known_by_its_name(tmp_path: Path, name: str, taken: bool) -> None:
    (tmp_path / name).touch()
    assert vms.InventoryModule().verify_file(str(tmp_path / name)) is taken
    assert vms.InventoryModule().verify_file(str(tmp_path / "absent.crossvisor.yml")) is False


def test_vms_of_all_endpoints_are_in_the_groups_of_their_storage(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app", "vm-1", NAME), machine("web", "vm-2"))
    estate.has("vc02", machine("db", "vm-1", NAME))
    inventory = parse(vcenter("vc01"), vcenter("vc02"), arrays=[ARRAY])
    assert hosts(inventory) == ["app", "db", "web"]
    assert hosts(inventory, "volume_v1") == ["app", "db"]
    assert hosts(inventory, "volume_lab_svm1_v1") == ["app", "db"]
    assert hosts(inventory, "endpoint_vc01") == ["app", "web"]
    assert hosts(inventory, f"lun_{NAME.naa}") == ["app", "db"]


def test_an_endpoint_may_have_arrays_of_its_own(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app", "vm-1", NAME))
    assert hosts(parse(vcenter("vc01", arrays=[ARRAY])), "volume_v1") == ["app"]
    assert "volume_v1" not in parse(vcenter("vc01")).groups


def test_sessions_are_closed(estate: Estate, parse: Parse) -> None:
    there = estate.has("vc01", machine("app"))
    parse(vcenter("vc01"))
    assert there.calls[-1] == "close"


def test_vms_of_one_name_stay_apart_and_are_named(estate: Estate, parse: Parse, warned: list[str]) -> None:
    estate.has("vc01", machine("app", "vm-1"))
    estate.has("vc02", machine("app", "vm-1"))
    inventory = parse(vcenter("vc01"), vcenter("vc02"))
    assert hosts(inventory) == ["app_vc01", "app_vc02"]
    assert warned == ["Several VMs have one name, and are hosts by longer ones: app_vc01, app_vc02"]


def test_one_endpoint_under_two_names_gives_its_vms_once_and_is_named(estate: Estate, parse: Parse, warned: list[str]) -> None:
    for name in ("vc01", "vc02"):
        estate.has(name, machine("app", "vm-1")).host_list = [Host("h1", "esx1", uuid="4213")]
    inventory = parse(vcenter("vc01"), vcenter("vc02"))
    assert (hosts(inventory), hosts(inventory, "endpoint_vc01")) == (["app"], ["app"])
    assert warned == ["Endpoint vc01 was asked as vc02 too, and its VMs are there once: name it once in endpoints."]


def test_a_vm_is_called_as_the_expression_says(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app", "vm-1"))
    assert hosts(parse(vcenter("vc01"), hostname="crossvisor_vm_name ~ '-' ~ crossvisor_vm_id")) == ["app-vm-1"]
    with pytest.raises(AnsibleParserError, match="hostname gives no name for VM app of vc01"):
        parse(vcenter("vc01"), hostname="nothing.at.all")


def test_what_a_vm_is_called_is_no_template(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("{{ 1 + 1 }}"))
    inventory = parse(vcenter("vc01"), compose={"shown": "crossvisor_vm_name"})
    assert hosts(inventory) == ["__ 1 + 1 __"]
    assert inventory.hosts["__ 1 + 1 __"].vars["shown"] == "{{ 1 + 1 }}"


def test_variables_and_groups_are_composed(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app", "vm-1", NAME), machine("web", "vm-2"))
    inventory = parse(
        vcenter("vc01"),
        arrays=[ARRAY],
        compose={"ansible_host": "crossvisor_vm_name ~ '.example.com'"},
        groups={"raw": "crossvisor_disks | length > 0"},
        keyed_groups=[{"prefix": "on", "key": "crossvisor_volumes"}],
    )
    assert inventory.hosts["app"].vars["ansible_host"] == "app.example.com"
    assert (hosts(inventory, "raw"), hosts(inventory, "on_v1")) == (["app"], ["app"])


def test_a_bad_expression_is_an_error_only_where_that_is_wished(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app"))
    assert hosts(parse(vcenter("vc01"), compose={"x": "nothing.at.all"})) == ["app"]
    with pytest.raises(Exception, match="Could not set x for host app"):
        parse(vcenter("vc01"), compose={"x": "nothing.at.all"}, strict=True)


def test_an_endpoint_that_does_not_answer_is_an_error(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app"))
    with pytest.raises(AnsibleParserError, match=r"^san\.crossvisor\.yml: endpoint dead gave no VMs: dead\.example\.com is down\.$"):
        parse(vcenter("vc01"), vcenter("dead"))


def test_or_a_warning_and_what_is_there_is_not_kept(estate: Estate, parse: Parse, warned: list[str]) -> None:
    estate.has("vc01", machine("app"))
    kept: dict[str, Any] = {}
    assert hosts(parse(vcenter("vc01"), vcenter("dead"), unanswered="warning", kept=kept)) == ["app"]
    assert (warned, kept) == (["Endpoint dead gave no VMs: dead.example.com is down."], {})


def test_an_array_that_does_not_answer_is_a_warning_and_its_vms_are_unresolved(estate: Estate, parse: Parse, warned: list[str]) -> None:
    estate.has("vc01", machine("app", "vm-1", NAME), machine("web", "vm-2"))
    estate.array = MemoryArray(error="It is down.")
    inventory = parse(vcenter("vc01"), arrays=[ARRAY])
    assert hosts(inventory, "crossvisor_unresolved") == ["app"]
    assert "ontap.example.com could not be asked: It is down" in warned[0]


def test_what_is_kept_is_not_asked_again_until_it_shall_be(estate: Estate, parse: Parse) -> None:
    estate.has("vc01", machine("app"))
    kept: dict[str, Any] = {}
    assert hosts(parse(vcenter("vc01"), kept=kept)) == ["app"]
    estate.has("vc01", machine("new"))
    assert hosts(parse(vcenter("vc01"), kept=kept)) == ["app"]
    assert hosts(parse(vcenter("vc01"), kept=kept, cache=False)) == ["new"]
    assert hosts(parse(vcenter("vc01"), kept=kept)) == ["new"]
    assert len(estate.asked) == 2
    assert PASSWORD not in str(kept)


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        ([vcenter("vc01"), vcenter("vc01")], "several endpoints are called vc01: give each a name of its own"),
        ([vcenter("vc01", hypervisors={})], "hypervisors"),
        (
            [{"hypervisor": {"hostname": "h", "type": "bhyve", "password": PASSWORD}}],
            "value of type must be one of: auto, vmware, hyperv, kvm, xen",
        ),
        ([{"hypervisor": {"hostname": "h", "port": PASSWORD, "password": PASSWORD}}], "'port' is of type"),
        (["vc01"], "vc01 is no endpoint"),
    ],
)
def test_what_the_file_says_wrong_is_one_sentence_without_secrets(parse: Parse, estate: Estate, endpoints: Any, told: str) -> None:
    with pytest.raises(AnsibleParserError, match=told) as failure:
        parse(*endpoints)
    assert PASSWORD not in str(failure.value)
    assert estate.asked == []
