# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user's word stands for exactly one VM or the user is told why not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, Inventory, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import (
    can_be_asked,
    hosts_that_can_run,
    initiators_asked,
    initiators_of_silent,
    pick_hosts,
    pick_vm,
    reachable,
    select_vms,
)

HOSTS = [Host("h1", "esx1", "prod"), Host("h2", "esx2", "prod"), Host("h3", "esx3", "dev", state="unreachable"), Host("h4", "esx4")]
VMS = [
    VirtualMachine("vm-1", "app", "4217e5a4-1c3e-4d5a-9f4e-000000000001", host="h1", cluster="prod", folder="/apps"),
    VirtualMachine("vm-2", "twin", "4217e5a4-1c3e-4d5a-9f4e-000000000002", host="h2", cluster="prod", folder="/apps"),
    VirtualMachine("vm-3", "twin", "4217e5a4-1c3e-4d5a-9f4e-000000000003", host="h3", cluster="dev", folder="/old"),
    VirtualMachine("vm-4", "vm-1", host="h4"),
]


@pytest.mark.parametrize("word", ["app", "vm-1", "4217E5A41C3E4D5A9F4E000000000001", "4217e5a4-1c3e-4d5a-9f4e-000000000001"])
def test_a_vm_is_known_by_name_identifier_and_uuid(word: str) -> None:
    assert pick_vm(VMS, word).id == "vm-1"


def test_the_endpoints_own_uuid_tells_apart_vms_whose_firmware_has_the_same() -> None:
    clones = [VirtualMachine(f"vm-{n}", f"clone{n}", "4217", f"5017-{n}") for n in (1, 2)]
    assert pick_vm(clones, "5017-2").id == "vm-2"
    with pytest.raises(Ambiguous, match=r"5017-1.*5017-2"):
        pick_vm(clones, "4217")


def test_an_ambiguous_name_lists_the_candidates() -> None:
    with pytest.raises(Ambiguous) as error:
        pick_vm(VMS, "twin")
    for word in ("vm-2", "vm-3", "000000000002", "/old", "cluster dev"):
        assert word in str(error.value)


NAMESAKES = [VirtualMachine(f"vm-{n}", name) for n, name in enumerate(("app01", "app-01", "APP01", "4217e5a41c3e", "db"))]


@pytest.mark.parametrize("name", ["app01", "app-01", "APP01"])
def test_a_name_is_taken_as_it_is_written(name: str) -> None:
    assert pick_vm(NAMESAKES, name).name == name
    assert [vm.name for vm in select_vms(Inventory([], NAMESAKES), [name], [])] == [name]


@pytest.mark.parametrize("name", ["ap-p01", "App01", "4217-e5a4-1c3e", "VM-0"])
def test_a_name_in_another_spelling_is_none(name: str) -> None:
    for choose in (lambda: pick_vm(NAMESAKES, name), lambda: select_vms(Inventory([], NAMESAKES), [name], [])):
        with pytest.raises(NotFound, match=f"no VM '{name}'"):
            choose()


def test_hosts_and_clusters_are_taken_as_they_are_written_too() -> None:
    for choose in (
        lambda: pick_hosts(HOSTS, ["ESX1"], []),
        lambda: pick_hosts(HOSTS, [], ["Prod"]),
        lambda: reachable(HOSTS, ["es-x3"]),
        lambda: select_vms(Inventory(HOSTS, VMS), [], ["pr-od"]),
    ):
        with pytest.raises(NotFound):
            choose()


def test_a_name_of_the_form_of_a_uuid_is_a_name_where_no_uuid_is_the_same() -> None:
    named = VirtualMachine("vm-9", "4217e5a4-1c3e-4d5a-9f4e-000000000009", "4217e5a4-1c3e-4d5a-9f4e-000000000008")
    assert pick_vm([*VMS, named], named.name) is named
    with pytest.raises(NotFound):
        pick_vm([*VMS, named], named.name.replace("-", ""))


def test_an_identifier_goes_before_a_name_for_every_module() -> None:
    assert pick_vm(VMS, "vm-1").name == "app"
    assert [vm.name for vm in select_vms(Inventory(HOSTS, VMS), ["vm-1"], [])] == ["app"]


@pytest.mark.parametrize(
    ("choose", "sentence"),
    [
        (lambda: pick_vm(VMS, "APP"), r"There is no VM 'APP' among the 4 VMs .*: correct it.* see it; did you mean app\?$"),
        (lambda: select_vms(Inventory(HOSTS, VMS), ["twinn"], []), r"no VM 'twinn' among .*; did you mean twin\?$"),
        (lambda: pick_vm(NAMESAKES, "ap-p01"), r"; did you mean APP01, app01, app-01\?$"),
        (lambda: pick_hosts(HOSTS, ["esx01"], []), r"no host 'esx01' .* it has: esx1, .*; did you mean esx1\?$"),
        (lambda: reachable(HOSTS, ["EXS2"]), r"no host 'EXS2' .*; did you mean esx2\?$"),
        (lambda: pick_hosts(HOSTS, [], ["Prod"]), r"no cluster 'Prod' .* it has: dev, prod; did you mean prod\?$"),
        (lambda: select_vms(Inventory(HOSTS, VMS), [], ["prud"]), r"no cluster 'prud' .*; did you mean prod\?$"),
        (lambda: pick_vm(VMS, "nobody"), r"the right to see it\.$"),
        (lambda: pick_hosts(HOSTS, [], ["test"]), r"it has: dev, prod\.$"),
    ],
)
def test_a_name_that_nobody_has_hints_at_those_that_are_near(choose: Callable[[], object], sentence: str) -> None:
    with pytest.raises(NotFound, match=sentence):
        choose()


def test_a_vm_without_uuid_is_not_found_by_nothing() -> None:
    with pytest.raises(NotFound):
        pick_vm(VMS, "")


def test_hosts_are_selected_by_name_and_cluster() -> None:
    assert [host.id for host in pick_hosts(HOSTS, [], ["prod"])] == ["h1", "h2"]
    assert [host.id for host in pick_hosts(HOSTS, ["esx2"], [])] == ["h2"]
    with pytest.raises(NotFound, match=r"no host 'esx9'.*has: esx1"):
        pick_hosts(HOSTS, ["esx9"], [])


def test_a_vm_can_run_on_its_cluster_or_on_its_one_host() -> None:
    assert [host.id for host in hosts_that_can_run(VMS[0], HOSTS)] == ["h1", "h2"]
    assert [host.id for host in hosts_that_can_run(VMS[3], HOSTS)] == ["h4"]


def test_a_host_that_cannot_be_asked_stops_the_change_unless_it_is_ignored_by_name() -> None:
    with pytest.raises(Refused, match=r"esx3 are not connected.*ignore_hosts"):
        reachable(HOSTS, [])
    assert [host.id for host in reachable(HOSTS, ["esx3"])] == ["h1", "h2", "h4"]
    with pytest.raises(NotFound, match="no host 'typo'"):
        reachable(HOSTS, ["typo"])


def test_vms_are_selected_by_any_of_their_names() -> None:
    inventory = Inventory(HOSTS, VMS)
    assert [vm.id for vm in select_vms(inventory, ["twin"], [])] == ["vm-2", "vm-3"]
    assert [vm.id for vm in select_vms(inventory, ["twin"], ["dev"])] == ["vm-3"]
    assert len(select_vms(inventory, [], [])) == 4
    with pytest.raises(NotFound, match="no VM 'nobody'"):
        select_vms(inventory, ["twin", "nobody"], [])


def test_a_name_is_no_other_in_which_it_is_contained() -> None:
    with pytest.raises(NotFound) as told:
        pick_vm(VMS, "nobody")
    assert "did you mean" not in str(told.value)


def test_a_cluster_that_does_not_exist_is_told_with_those_that_do() -> None:
    for told in (lambda: pick_hosts(HOSTS, [], ["typo"]), lambda: select_vms(Inventory(HOSTS, VMS), [], ["typo"])):
        with pytest.raises(NotFound, match=r"There is no cluster 'typo' on this hypervisor; it has: dev, prod\."):
            told()


def test_a_host_that_does_not_exist_is_told_even_beside_one_that_does_by_its_identifier() -> None:
    assert [host.id for host in pick_hosts(HOSTS, ["h1", "esx2"], [])] == ["h1", "h2"]
    with pytest.raises(NotFound, match=r"There is no host 'typo' on this hypervisor; it has: esx1, esx2, esx3, esx4\."):
        pick_hosts(HOSTS, ["h1", "typo"], [])


def test_a_hypervisor_without_clusters_says_so() -> None:
    with pytest.raises(NotFound, match=r"There is no cluster 'prod' on this hypervisor; it has: none\."):
        pick_hosts([Host("h4", "esx4")], [], ["prod"])


def test_a_vm_outside_of_a_cluster_runs_on_no_other_host_outside_of_one() -> None:
    alone = [Host("h4", "esx4"), Host("h5", "esx5")]
    assert [host.id for host in hosts_that_can_run(VirtualMachine("vm-4", "x", host="h4"), alone)] == ["h4"]


def test_candidates_of_which_little_is_known_are_told_apart_all_the_same() -> None:
    with pytest.raises(Ambiguous) as told:
        pick_vm([VirtualMachine("1", "x"), VirtualMachine("2", "x", "u2"), VirtualMachine("3", "x", "u3", "i3")], "x")
    for words in ("1 (UUID unknown, folder /, no cluster)", "2 (UUID u2, folder /,", "3 (UUID i3, folder /,"):
        assert words in str(told.value)


def test_a_host_in_standby_is_refused_by_that_name_and_one_in_maintenance_answers() -> None:
    asleep, busy = Host("h5", "esx5", "prod", state="standby"), Host("h6", "esx6", "prod", state="maintenance")
    with pytest.raises(Refused, match=r"esx5 are in standby.*power them on, which makes them look, or name them in ignore_hosts"):
        reachable([*HOSTS[:2], asleep, busy], [])
    assert reachable([asleep, busy], ["esx5"]) == [busy]
    assert (can_be_asked(asleep), can_be_asked(busy), can_be_asked(HOSTS[2])) == (False, True, False)


@pytest.mark.parametrize("word", ["web/1", "web%2f1", "web%2F1"])
def test_a_vm_is_known_by_its_name_as_the_api_escapes_it_too(word: str) -> None:
    assert pick_vm([*VMS, VirtualMachine("vm-9", "web/1")], word).id == "vm-9"


def test_a_name_that_looks_escaped_goes_before_what_it_would_stand_for() -> None:
    assert pick_vm([VirtualMachine("vm-8", "50%25"), VirtualMachine("vm-9", "50%")], "50%25").id == "vm-8"


def test_three_near_names_are_enough_of_a_hint() -> None:
    machines = [VirtualMachine(f"vm-{n}", f"server0{n}") for n in range(5)]
    with pytest.raises(NotFound) as error:
        pick_vm(machines, "server09")
    assert str(error.value).partition("did you mean ")[2].count("server0") == 3


def test_a_vm_that_a_silent_endpoint_may_have_is_not_taken_for_one_that_is_not_there() -> None:
    with pytest.raises(NotFound, match=r"no VM 'db' among the 4 VMs of the hosts that answer, and kvm2 did not answer"):
        pick_vm(VMS, "db", silent=["kvm2"])
    assert pick_vm(VMS, "app", silent=["kvm2"]).id == "vm-1"


def test_a_vm_that_runs_twice_is_told_as_one_that_moves() -> None:
    moving = [VirtualMachine("u", "db01", "u", host=host) for host in ("h1", "h2")]
    for word in ("db01", "u"):
        with pytest.raises(Ambiguous, match=r"VM db01 \(u\) runs on several hosts at once, as it does while it is migrated"):
            pick_vm(moving, word)


def test_the_adapters_of_a_host_that_cannot_be_asked_are_known_only_by_the_users_word() -> None:
    hosts = [
        Host(f"h{number}", f"esx{number}", state=state, hbas=[Hba("vmhba64", "iscsi_software", "online", iqn=f"iqn.x:H{number}")])
        for number, state in enumerate(("connected", "maintenance", "unreachable", "standby"))
    ]
    assert initiators_asked(hosts) == {"iqn.x:h0", "iqn.x:h1", "iqn.x:h3"}
    assert initiators_asked(hosts, ["esx2"]) == {f"iqn.x:h{number}" for number in range(4)}
    assert initiators_of_silent(hosts) == {"iqn.x:h2": "host esx2, which is not connected"}
    assert initiators_asked([Host("h9", "esx9", hbas=[Hba("vmhba0", "sas", "online")])]) == set()
