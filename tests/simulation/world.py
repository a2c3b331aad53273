# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run: a small world, actors with their wishes, a schedule, the promises, and then everybody once more, one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import MappingProxyType, SimpleNamespace
from typing import Any
from unittest import mock

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import groups
from tests.lab import world as lab_world
from tests.simulation.array import GIB, SVM, VOLUME, ArrayInPlace, naa_of
from tests.simulation.estate import DiskNow, EndpointNow, Estate, HostNow, VmNow, is_shared
from tests.simulation.guest import DATA, JUDGEMENT, READY, Guest
from tests.simulation.modules import Modules
from tests.simulation.playbook import Playbook, TaskFailed
from tests.simulation.port import Port
from tests.simulation.promises import ATTACH, DETACH, MAP, PROVISION, REMOVE, Contents, Intent, Promises, Violation
from tests.simulation.schedule import Schedule, Seeded
from tests.simulation.stage import Actor, Killed, Stage

ROOT = Path(groups.__file__).resolve().parents[5]
"""Of the collection that is tried."""
ARRAY = {"hostname": "ontap.lab"}
PATIENCE = {"provision_timeout": 10, "deprovision_timeout": 10}
"""Seconds, so that nobody waits through hundreds of requests for what will not come."""
ADMIN = "admin1"


@dataclass(frozen=True)
class Wish:
    """What one actor is started for."""

    kind: str
    endpoint: str = "vc1"
    vm: str = "app01"
    lun: str = "n1"
    by_naa: bool = False
    delete: bool = False
    guest: bool = False
    restarts: int = 0

    def __str__(self) -> str:
        words = [self.kind, self.lun, f"({self.vm} at {self.endpoint})"]
        return " ".join(words + [word for word in ("by_naa", "delete", "guest") if getattr(self, word)])


@dataclass(frozen=True)
class Scenario:
    """Who wants what at the same time."""

    wishes: Sequence[Wish]
    kind: str = "kvm"
    """Of the second endpoint."""


@dataclass
class Verdict:
    """How a run ended."""

    violations: Sequence[Violation]
    lines: Sequence[str]
    requests: int

    def __str__(self) -> str:
        return "\n".join([*self.lines, *(f"VIOLATION {violation}" for violation in self.violations)])


LUNS = ("n1", "n2", "n3", "old", "far", "raw", "spare", "both")
"""`n…` are new, `old`, `far` and `both` have their VMs, `raw` has data and nobody, `spare` is blank."""
VMS = {"vc1": ("app01", "app02"), "vc2": ("dev01", "dev02")}


def scenario(seed: int) -> Scenario:
    """The wishes of a seed: mostly for few LUNs, so that they meet."""
    random = Random(f"scenario {seed}")
    pool = random.sample(LUNS, random.choice((1, 2, 2, 3, 4)))
    restarts = random.choice((0, 0, 1))
    return Scenario(
        [_wish(random, pool, restarts) for _each in range(random.choice((2, 2, 2, 3, 3, 4, 5)))], random.choice(("vmware", "kvm", "hyperv"))
    )


def _wish(random: Random, pool: Sequence[str], restarts: int) -> Wish:
    kind = random.choice((PROVISION, PROVISION, PROVISION, REMOVE, REMOVE, REMOVE, ATTACH, DETACH, MAP))
    endpoint = random.choice(("vc1", "vc1", "vc1", "vc2"))
    lun, guest = random.choice(pool), random.random() < 0.5
    by_naa = not lun.startswith("n") and random.random() < 0.3
    return Wish(kind, endpoint, random.choice(VMS[endpoint]), lun, by_naa, random.random() < 0.6, guest, restarts)


@dataclass
class World:
    """Everything of one run."""

    scenario: Scenario
    stage: Stage
    seed: int = 0
    files: Mapping[str, Path] = field(default_factory=dict)
    """What is read instead of a file of the collection."""
    promises: Promises = field(init=False)
    array: ArrayInPlace = field(init=False)
    estate: Estate = field(init=False)
    modules: Modules = field(init=False)
    actors: list[Actor] = field(init=False)

    def __post_init__(self) -> None:
        self.promises = Promises(self.stage)
        endpoints = _endpoints(self.scenario.kind)
        self.array = self.promises.array = ArrayInPlace(self.stage, _array(endpoints), self.promises.array_changed)
        self.estate = self.promises.estate = Estate(self.array, endpoints, self.promises)
        self._begin()
        self.modules = Modules(self.stage, lambda name: self.array.open(), self._login)
        self.stage.events, self.stage.happen = self.events, self.happen
        self.actors = [self._actor(f"{wish.kind}{position}", wish) for position, wish in enumerate(self.scenario.wishes, 1)]

    def _begin(self) -> None:
        """What there was before: two LUNs with data that VMs have, and one with data that nobody has."""
        self._had("vc1", "app02", "old")
        self._had("vc2", "dev01", "far")
        self._had("vc2", "dev02", "both")
        raw = self._naa("raw")
        assert raw is not None
        self.promises.contents[raw] = Contents("a database", DATA)
        self.promises.strangers = {naa_of(lun) for lun in self.array.svm.luns if lun.base_name.startswith(ADMIN)}
        for endpoint in self.estate.endpoints.values():
            for host in endpoint.hosts.values():
                self.estate.rescan(host)

    def _had(self, endpoint: str, vm: str, lun: str) -> None:
        naa = self._naa(lun)
        if naa is None:
            return
        self.estate.endpoints[endpoint].vms[vm].disks[1] = DiskNow(naa, 1, mounted=True)
        self.promises.contents[naa] = Contents(vm, READY)

    def _naa(self, lun: str) -> str | None:
        found = self.array.lun_at(lun)
        return naa_of(found) if found else None

    def _login(self, name: str) -> Port:
        return Port(self.stage, self.estate, self.estate.endpoints[name], self.promises.looked)

    # What the actors do

    def _actor(self, name: str, wish: Wish) -> Actor:
        self.promises.intents[name] = Intent(wish.kind, wish.endpoint, wish.vm, wish.lun, wish.delete)
        naa = self._naa(wish.lun) if wish.by_naa else None
        return Actor(name, lambda: self._run(wish, naa), wish.restarts)

    def _run(self, wish: Wish, naa: str | None) -> bool:
        """One run, which tells whether it has changed anything."""
        killed = False
        self.stage.note(f"begins to {wish}")
        try:
            changed = _PLAYED[wish.kind](self, wish, naa)
            self.stage.note(f"ends well{', with changes' if changed else ''}")
            return changed
        except TaskFailed as failed:
            self.stage.note(f"fails: {failed}")
            raise
        except Killed:
            killed = True
            raise
        finally:
            self.promises.ended(self.stage.who(), killed)

    def _playbook(self, wish: Wish, name: str, more: Mapping[str, Any]) -> bool:
        endpoint = self.estate.endpoints[wish.endpoint]
        guest = Guest(self.stage, self.promises, endpoint, endpoint.vms[wish.vm], self.files.get(JUDGEMENT, ROOT / JUDGEMENT))
        common = {"vm": wish.vm, "hypervisor": {"hostname": wish.endpoint}, "array": ARRAY, "guest_os": "linux", **PATIENCE}
        given = {**common, "guest": {"host": wish.vm} if wish.guest else {}, **more}

        def run(module: str, given: Mapping[str, Any], check_mode: bool) -> Mapping[str, Any]:
            return guest.rescan(str(given["naa"])) if module == "scsi_rescan" else self._module(module, given, check_mode)

        playbook = Playbook(ROOT, run, {"guest_disk": guest.guest_disk}, self.files)
        playbook.play(name, given)
        return playbook.changed or guest.changed

    def _provision(self, wish: Wish, naa: str | None) -> bool:
        begun = self.stage.step
        address = {"svm": SVM, "volume": VOLUME, "lun": wish.lun}
        changed = self._playbook(wish, "provision_disk", {**address, "size": "1GiB", "mount_point": "/data"})
        self._told_provisioned(wish, begun)
        return changed

    def _remove(self, wish: Wish, naa: str | None) -> bool:
        named = {"naa": naa} if naa else {"svm": SVM, "volume": VOLUME, "lun": wish.lun}
        return self._playbook(wish, "remove_disk", {**named, "delete": wish.delete})

    def _attach(self, wish: Wish, naa: str | None) -> bool:
        return self._ptd_attach(wish, {"state": "present"})

    def _detach(self, wish: Wish, naa: str | None) -> bool:
        return self._ptd_attach(wish, {"state": "absent"})

    def _ptd_attach(self, wish: Wish, more: Mapping[str, Any]) -> bool:
        naa = self._naa(wish.lun)
        if naa is None:
            return False
        given = {"hypervisor": {"hostname": wish.endpoint}, "vm": wish.vm, "naa": naa, "timeout": 10, **more}
        return bool(self._module("ptd_attach", given, False)["changed"])

    def _map(self, wish: Wish, naa: str | None) -> bool:
        given = {"hypervisor": {"hostname": wish.endpoint}, "arrays": [ARRAY]}
        rows = self._module("vm_storage_map", given, False)["mappings"]
        for row in rows:
            lun = self.array.lun(row["naa"])
            if row["status"] == "mapped" and lun and lun.path != row["lun_path"]:
                self.promises.broken("every success is true", f"the map tells that {row['naa']} is {row['lun_path']}")
        return False

    def _told_provisioned(self, wish: Wish, since: int) -> None:
        naa = self._naa(wish.lun)
        if naa:
            self.promises.told_attached(self.estate.endpoints[wish.endpoint], wish.vm, naa, since, sharing=True)

    # What the modules tell

    def _module(self, name: str, arguments: Mapping[str, Any], check_mode: bool) -> Mapping[str, Any]:
        since = self.stage.step
        self.stage.note(f"{name} {arguments.get('state', '')}{' in check mode' if check_mode else ''}")
        result = self.modules.run(name, arguments, check_mode)
        if not check_mode and name in ("lun_provision", "ptd_attach"):
            (self._told_of_lun if name == "lun_provision" else self._told_of_disk)(arguments, result, since + 1)
        return result

    def _told_of_lun(self, arguments: Mapping[str, Any], result: Mapping[str, Any], since: int) -> None:
        promises = self.promises
        if arguments.get("state") != "absent":
            promises.told_mapped(arguments["name"], result["naa"], arguments["initiators"], since)
            return
        lun = self.array.lun(arguments["naa"]) if "naa" in arguments else self.array.lun_at(arguments["name"])
        if lun:
            promises.told_gone(lun.base_name, arguments.get("initiators", ()), arguments.get("delete", False), since)

    def _told_of_disk(self, arguments: Mapping[str, Any], result: Mapping[str, Any], since: int) -> None:
        endpoint = self.estate.endpoints[arguments["hypervisor"]["hostname"]]
        state = arguments.get("state", "present")
        if state == "present":
            self.promises.told_attached(endpoint, arguments["vm"], arguments["naa"], since, bool(arguments.get("sharing")))
        elif state == "absent":
            self.promises.told_detached(endpoint, arguments["vm"], arguments["naa"], since)

    # What happens by itself

    def events(self) -> list[str]:
        """What could happen now."""
        found = []
        for endpoint in self.estate.endpoints.values():
            for vm in endpoint.vms.values():
                found += [f"move {vm.name} to {host.name}" for host in endpoint.hosts_of(vm) if host.name != vm.host]
                found += [f"write {vm.name} {self._written(disk)}" for disk in vm.disks.values() if self._may_write(disk)]
            found += [f"rescan {host.name}" for host in endpoint.hosts.values()]
            found += [f"renumber {host.name}" for host in endpoint.hosts.values() if endpoint.numbered]
            found.append(f"administrator {endpoint.name}")
        return found

    def happen(self, event: str) -> None:
        """Let it happen."""
        verb, name, *rest = event.split()
        for endpoint in self.estate.endpoints.values():
            if verb == "move" and name in endpoint.vms:
                self.estate.move(endpoint, endpoint.vms[name], endpoint.hosts[rest[-1]])
            elif verb == "write" and name in endpoint.vms:
                self._write_raw(endpoint, endpoint.vms[name], rest[0])
            elif verb == "rescan" and name in endpoint.hosts:
                self.estate.rescan(endpoint.hosts[name])
            elif verb == "renumber" and name in endpoint.hosts:
                self.estate.renumber(endpoint.hosts[name])
            elif verb == "administrator" and name == endpoint.name:
                self._administrate(endpoint)

    def _written(self, disk: DiskNow) -> str:
        lun = self.array.lun(disk.naa)
        return lun.base_name if lun else ""

    def _may_write(self, disk: DiskNow) -> bool:
        """Whether the VM's users may put a database on the disk: it is blank, theirs alone, and no playbook formats it."""
        held = self.promises.contents.get(disk.naa)
        name = self._written(disk)
        users = list(self.estate.users(disk.naa))
        formatted = any(wish.guest and wish.lun == name for wish in self.scenario.wishes)
        return bool(name) and (held is None or not held.layout) and (len(users) == 1 or is_shared(users)) and not formatted

    def _write_raw(self, endpoint: EndpointNow, vm: VmNow, lun: str) -> None:
        naa = self._naa(lun)
        if naa and self.estate.reaches(endpoint.hosts[vm.host], naa):
            self.promises.write(endpoint, vm, naa, DATA)

    def _administrate(self, endpoint: EndpointNow) -> None:
        """An administrator of the array maps a LUN of their own to the hosts, under the first free number, or takes it from them."""
        svm = self.array.svm
        group = next(group for group in svm.igroups if group.name == f"admins_{endpoint.name}")
        lun = next(lun for lun in svm.luns if lun.base_name == f"{ADMIN}_{endpoint.name}")
        before = [lun_map for lun_map in svm.maps if lun_map.lun is lun]
        if before:
            svm.maps.remove(before[0])
        else:
            self.array.administrate_map(lun.path, group.name)

    # All of it

    def play(self) -> Verdict:
        """Let everybody work at the same time, then once more one after the other, and look what is left."""
        with reproducible(self.seed), self.modules.in_place():
            self.stage.play(self.actors)
            self._judge_outcomes()
            if not any(actor.error for actor in self.actors):
                self.promises.left_over()
            self._again()
            if not self.promises.violations:
                self.promises.left_over()
        return Verdict(self.promises.violations, self.stage.lines, self.stage.step)

    def _judge_outcomes(self) -> None:
        for actor in self.actors:
            if not isinstance(actor.error, (type(None), TaskFailed, Killed)):
                self.promises.broken("every failure is told in a sentence", f"{actor.name}: {type(actor.error).__name__}: {actor.error}")
        names = [wish.lun for wish in self.scenario.wishes if wish.kind != MAP]
        for actor, wish in zip(self.actors, self.scenario.wishes):
            if (
                self.stage.schedule.quiet
                and isinstance(actor.error, TaskFailed)
                and names.count(wish.lun) == 1
                and not self._may_fail(wish)
            ):
                self.promises.broken("nobody fails without a reason", f"{actor.name}: {actor.error}")

    def _again(self) -> None:
        """Run everybody again, alone: each has to come to its end, and to find everything done when it is run once more."""
        for actor, wish in zip(self.actors, self.scenario.wishes):
            if self.promises.violations:
                return
            self.stage.note_all(f"once more {actor.name}")
            if self._alone(actor, wish) and self._alone(actor, wish):
                self.promises.broken("every run converges", f"{actor.name} has changed something again, although all was done")
        for position, wish in enumerate(self.scenario.wishes):
            if wish.kind in (PROVISION, REMOVE) and self._in_vain(wish) and not self.promises.violations:
                self.stage.note_all(f"{wish} is refused, so what there is of it is taken back")
                self._alone(self._actor(f"end{position}", replace(wish, kind=REMOVE, delete=False)), replace(wish, kind=REMOVE))

    def _in_vain(self, wish: Wish) -> bool:
        """Whether a VM was to get a LUN and has not got it, or was to lose one with its data that is still there for others."""
        naa = self._naa(wish.lun)
        return naa is not None and not self.estate.endpoints[wish.endpoint].vms[wish.vm].disk(naa)

    def _alone(self, actor: Actor, wish: Wish) -> bool:
        excused = self._may_fail(wish)
        again = Actor(actor.name, actor.work, attempt=actor.attempt + 1)
        self.stage.alone(again)
        actor.attempt += 1
        if again.error is None:
            return bool(again.result)
        if not isinstance(again.error, TaskFailed):
            self.promises.broken("every failure is told in a sentence", f"{actor.name}: {type(again.error).__name__}: {again.error}")
        elif not excused:
            self.promises.broken("every run converges", f"{actor.name} fails when it is run again: {again.error}")
        return False

    def _may_fail(self, wish: Wish) -> bool:
        """Whether the estate as it is gives a reason to refuse the wish."""
        naa = self._naa(wish.lun)
        if naa is None or wish.kind == MAP:
            return False
        endpoint = self.estate.endpoints[wish.endpoint]
        vm = endpoint.vms[wish.vm]
        others = any(user.vm is not vm for user in self.estate.users(naa))
        iqns = {host.iqn for host in endpoint.hosts_of(vm)}
        mapped = {name for lun_map in self.array.svm.maps if naa_of(lun_map.lun) == naa for name in lun_map.igroup.initiators}
        held = self.promises.contents.get(naa)
        data = wish.guest and held is not None and held.layout == DATA
        unseen = wish.kind == ATTACH and not iqns <= mapped
        return others or bool(mapped - iqns) or unseen or (wish.kind == PROVISION and data)


_PLAYED: Mapping[str, Callable[[World, Wish, str | None], bool]] = {
    PROVISION: World._provision,
    REMOVE: World._remove,
    ATTACH: World._attach,
    DETACH: World._detach,
    MAP: World._map,
}


def play(seed: int) -> Verdict:
    """Run the schedule of this seed."""
    return World(scenario(seed), Stage(Seeded(seed)), seed).play()


def play_written(wishes: Scenario, schedule: Schedule, files: Mapping[str, Path] = MappingProxyType({})) -> Verdict:
    """Run a schedule that was written by hand; `files` are read instead of those of the collection."""
    return World(wishes, Stage(schedule), files=files).play()


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Let serial numbers, UUIDs and marks come from the seed while the block runs."""
    random = Random(f"names {seed}")
    serials = (f"80Sim-{random.randrange(10**6):06}" for _each in iter(int, 1))
    site = "ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site"
    with (
        mock.patch("tests.lab.ontap.names.new_serial", side_effect=serials),
        mock.patch("tests.lab.ontap.state.uuid", SimpleNamespace(uuid4=lambda: uuid.UUID(int=random.getrandbits(128)))),
        mock.patch(f"{site}.secrets", SimpleNamespace(token_hex=lambda size: f"{random.getrandbits(8 * size):0{2 * size}x}")),
    ):
        yield


def _endpoints(kind: str) -> dict[str, EndpointNow]:
    def host(name: str, cluster: str) -> HostNow:
        return HostNow(name, cluster, f"iqn.2026-01.com.example:{name}")

    first = {name: host(name, "prod") for name in ("esx01", "esx02")}
    second = {name: host(name, "") for name in ("srv01",)}
    return {
        "vc1": EndpointNow("vc1", "vmware", first, {"app01": VmNow("app01", "esx01", "prod"), "app02": VmNow("app02", "esx02", "prod")}),
        "vc2": EndpointNow("vc2", kind, second, {"dev01": VmNow("dev01", "srv01", ""), "dev02": VmNow("dev02", "srv01", "")}),
    }


def _array(endpoints: Mapping[str, EndpointNow]) -> dict[str, Any]:
    os_types = {"vmware": "vmware", "kvm": "linux", "hyperv": "hyper_v"}
    igroups = []
    for (endpoint, lun), number in zip((("vc1", "old"), ("vc2", "far")), (0, 0)):
        initiators = [host.iqn for host in endpoints[endpoint].hosts.values()]
        common = {"protocol": "iscsi", "os_type": os_types[endpoints[endpoint].kind], "initiators": initiators}
        maps = [{"lun": f"/vol/{VOLUME}/{lun}", "id": number}]
        igroups.append({"name": groups.group_name(initiators), "maps": maps, **common})
        igroups.append({"name": f"admins_{endpoint}", "maps": [], **common, "initiators": [*initiators, f"{initiators[0]}-backup"]})
    if endpoints["vc2"].kind == "vmware":  # an initiator is in groups of one operating system only
        everyone = [host.iqn for endpoint in endpoints.values() for host in endpoint.hosts.values()]
        maps = [{"lun": f"/vol/{VOLUME}/both", "id": 9}]
        igroups.append({"name": "everyone", "protocol": "iscsi", "os_type": "vmware", "initiators": everyone, "maps": maps})
    used = {"old": GIB // 4, "far": GIB // 4, "raw": GIB // 2, "spare": 0, f"{ADMIN}_vc1": GIB, f"{ADMIN}_vc2": GIB}
    if endpoints["vc2"].kind == "vmware":
        used["both"] = GIB // 4
    luns = [
        {"name": name, "size": GIB, "os_type": "linux", "serial": f"80Old-{position:06}", "used": size}
        for position, (name, size) in enumerate(used.items())
    ]
    return {
        "name": "ontap.lab",
        "uuid": lab_world.identity("cluster", "simulation"),
        "version": {"generation": 9, "major": 16, "minor": 1},
        "nodes": ["node-01"],
        "svms": [
            {
                "name": SVM,
                "iqn": "iqn.1992-08.com.netapp:sn.1:vs.2",
                "portals": ["192.0.2.11"],
                "nfs_lifs": [],
                "fc_lifs": [],
                "volumes": [{"name": VOLUME, "size": 100 * GIB, "luns": luns}],
                "igroups": igroups,
            }
        ],
    }
