# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true after every request, and at the end.

The rules judge by the estate itself, never by what an actor believes. Where the product cannot know what happened between its last look
and its act, it has to notice afterwards and make it good before it ends; only an actor that was killed in between is excused. Somebody who
could have known is not: who has looked since, or who never looked at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.lab.ontap.state import Lun, LunMap, Svm
from tests.simulation.array import ArrayInPlace, naa_of
from tests.simulation.estate import DiskNow, EndpointNow, Estate, HostNow, User, VmNow, is_shared
from tests.simulation.stage import Stage

PROVISION = "provision"
REMOVE = "remove"
ATTACH = "attach"
DETACH = "detach"
MAP = "map"


BEGUN = "gpt"


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    text: str
    step: int

    def __str__(self) -> str:
        return f"{self.rule}, after request {self.step}: {self.text}"


@dataclass
class Contents:
    """What is on a LUN. Nothing is what a new LUN has."""

    owner: str = ""
    """The VM whose guest wrote it, or whoever had the LUN before everything began."""
    layout: str = ""
    """`gpt` for a partition table without a file system, `xfs` for both, `raw` for what nobody knows."""


@dataclass
class Intent:
    """What one run of an actor may do to LUNs."""

    kind: str
    """What is run: `provision`, `remove`, `attach`, `detach` or `map`."""
    endpoint: str = ""
    vm: str = ""
    lun: str = ""
    """Its name on the array."""
    delete: bool = False


@dataclass
class Debt:
    """A LUN that was taken from a user who came after the last look: whoever took it has to give it back before it ends."""

    actor: str
    user: User
    naa: str


@dataclass
class Promises:
    """The rules, and what they have to remember."""

    stage: Stage
    intents: dict[str, Intent] = field(default_factory=dict)
    """By the actor's name, whatever the number of its start."""
    violations: list[Violation] = field(default_factory=list)
    contents: dict[str, Contents] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    """Who made a LUN, by NAA."""
    mapped: dict[int, tuple[int, str]] = field(default_factory=dict)
    """The request that made a map, and who sent it, by the identity of the map."""
    looks: dict[tuple[str, str], int] = field(default_factory=dict)
    """The request with which an actor last read who uses what at an endpoint."""
    changes: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By fact, the last request that changed it and who sent it."""
    debts: list[Debt] = field(default_factory=list)
    intruders: list[tuple[str, User, str]] = field(default_factory=list)
    """Who gave a VM a LUN that another one had just got, which they have to notice before they end."""
    deleted_from: dict[str, str] = field(default_factory=dict)
    """By NAA, the endpoint of whoever had a LUN deleted: hosts of others, which nobody asked, may remember it."""
    strangers: set[str] = field(default_factory=set)
    """LUNs of which no actor takes care."""
    estate: Estate = field(init=False)
    array: ArrayInPlace = field(init=False)

    def broken(self, rule: str, text: str) -> None:
        """Note that a promise was broken."""
        self.violations.append(Violation(rule, text, self.stage.step))
        self.stage.lines.append(f"!!!!! {rule}: {text}")

    def looked(self, endpoint: EndpointNow) -> None:
        """The actor at work has read who uses what there."""
        self.looks[self.stage.who(), endpoint.name] = self.stage.step

    def changed(self, fact: str) -> None:
        """A fact was changed by the actor at work."""
        self.changes[fact] = self.stage.step, self.stage.who()

    # The array

    def array_changed(self, svm: Svm, luns: Sequence[Lun], maps: Sequence[LunMap]) -> None:
        """Hold a change of the array against the rules; `luns` and `maps` are what was there before."""
        for lun in svm.luns:
            if lun not in luns:
                self.makers[naa_of(lun)] = self.stage.who()
                self.changed(f"lun {lun.base_name}")
        for lun in luns:
            if lun not in svm.luns:
                self._deleted(lun)
        self._maps_changed(svm, maps)

    def _maps_changed(self, svm: Svm, maps: Sequence[LunMap]) -> None:
        for lun_map in [*svm.maps, *maps]:
            if (lun_map in maps) != (lun_map in svm.maps):
                self.changed(f"map {naa_of(lun_map.lun)}")
        for lun_map in svm.maps:
            if lun_map not in maps:
                self.mapped[id(lun_map)] = self.stage.step, self.stage.who()
        for lun_map in maps:
            if lun_map not in svm.maps:
                self._unmapped(lun_map)

    def _deleted(self, lun: Lun) -> None:
        naa, who = naa_of(lun), self.stage.who()
        self.changed(f"lun {lun.base_name}")
        users = list(self.estate.users(naa))
        if users:
            self.broken("nothing in use is deleted", f"{who} deleted LUN {lun.base_name}, which {_names(users)} has")
        intent, held = self._intent(), self.contents.get(naa, Contents())
        asked = intent and intent.kind == REMOVE and intent.delete and intent.lun == lun.base_name
        if not asked and held.layout:
            self.broken("no data is deleted unasked", f"{who} deleted LUN {lun.base_name} with the data of {held.owner}")
        if not asked and self.makers.get(naa) != who:
            self.broken("only own work is undone", f"{who} deleted LUN {lun.base_name}, which {self.makers.get(naa, 'somebody')} made")
        self.contents.pop(naa, None)
        self.deleted_from[naa] = intent.endpoint if intent else ""

    def _unmapped(self, lun_map: LunMap) -> None:
        naa, who = naa_of(lun_map.lun), self.stage.who()
        for user in list(self.estate.users(naa)):
            if not self._cut_off(user, naa, lun_map.igroup.initiators):
                continue
            made, by = self.mapped.get(id(lun_map), (-1, ""))
            if by == who and made > user.disk.since:
                continue  # the VM did not see it before, either
            looked = self.looks.get((who, user.endpoint.name))
            if looked is None or looked > user.disk.since:
                known = "had looked and" if looked is not None else "never looked and"
                self.broken("nothing in use is unmapped", f"{who} {known} unmapped LUN {lun_map.lun.base_name}, which {user} has")
            self.debts.append(Debt(who, user, naa))

    def _cut_off(self, user: User, naa: str, initiators: Iterable[str]) -> bool:
        hosts = [host for host in user.endpoint.hosts_of(user.vm) if host.iqn in initiators]
        return any(not self.estate.sees(host, naa) for host in hosts)

    # The VMs

    def attached(self, user: User) -> None:
        """A VM has got a LUN."""
        self.changed(_disk(user.vm, user.disk.naa))

    def detached(self, vm: VmNow, disk: DiskNow) -> None:
        """A LUN was taken from a VM, which only those may do who were asked to, or who have given it."""
        self.changed(_disk(vm, disk.naa))
        intent, who = self._intent(), self.stage.who()
        asked = intent and intent.kind in (REMOVE, DETACH) and (intent.vm, intent.lun) == (vm.name, self._name(disk.naa))
        if not asked and disk.by != who:
            what = "mounted LUN" if disk.mounted else "LUN"
            self.broken(
                "only own work is undone",
                f"{who} took the {what} {self._name(disk.naa)} from {vm.name}, which {disk.by or 'somebody'} attached",
            )

    def _intent(self) -> Intent | None:
        return self.intents.get(self.stage.who().partition(".")[0])

    # The guests

    def write(self, endpoint: EndpointNow, vm: VmNow, naa: str, layout: str) -> None:
        """A guest writes to its disk, which must be blank or its own, and nobody else's."""
        host = endpoint.hosts[vm.host]
        device = host.devices.get(naa)
        shown = {number: real for real, (number, _size) in self.array.presented([host.iqn]).items()}
        real = shown.get(device.number, naa) if device else naa
        held = self.contents.setdefault(real, Contents())
        if held.layout not in ("", BEGUN):
            self.broken(
                "only blank disks are written to", f"the guest of {vm.name} wrote over what {held.owner} has on LUN {self._name(real)}"
            )
        self._shared(vm, real)
        held.owner, held.layout = vm.name, layout
        self.array.state.write(real, 4096)

    # What is told

    def told_attached(self, endpoint: EndpointNow, vm: str, naa: str, since: int, sharing: bool = False) -> None:
        """Somebody was told that the LUN is a disk of the VM."""
        now = endpoint.vms[vm]
        if not now.disk(naa) and not self._overturned(_disk(now, naa), since):
            self.broken("every success is true", f"{self.stage.who()} was told that {vm} has LUN {self._name(naa)}")
        if not sharing:
            self._shared(now, naa)

    def _shared(self, vm: VmNow, naa: str) -> None:
        """Somebody takes a LUN for their VM's own that others have, too: who came last has to notice, and whoever has looked since."""
        who, users = self.stage.who(), list(self.estate.users(naa))
        own = next((user for user in users if user.vm is vm), None)
        for other in [] if is_shared(users) else users:
            looked = self.looks.get((who, other.endpoint.name))
            if own is None or other.vm is vm or self._told_nobody(own, other):
                continue
            if looked is None or looked > other.disk.since or own.disk.since > other.disk.since:
                self.broken(
                    "no LUN has two writers unasked", f"{who} takes LUN {self._name(naa)} of {vm.name} for its own, which {other} has too"
                )
            else:
                self.intruders.append((other.disk.by, other, naa))

    def _told_nobody(self, own: User, other: User) -> bool:
        """Whether nobody could know of the other: the task `ptd_attach` alone asks one endpoint and no array."""
        makers = [self.intents.get(user.disk.by.partition(".")[0]) for user in (own, other)]
        return own.endpoint is not other.endpoint and any(maker is not None and maker.kind == ATTACH for maker in makers)

    def told_detached(self, endpoint: EndpointNow, vm: str, naa: str, since: int) -> None:
        """Somebody was told that the LUN is no disk of the VM."""
        now = endpoint.vms[vm]
        if now.disk(naa) and not self._overturned(_disk(now, naa), since):
            self.broken("every success is true", f"{self.stage.who()} was told that {vm} does not have LUN {self._name(naa)}")

    def told_mapped(self, name: str, naa: str, initiators: Iterable[str], since: int) -> None:
        """Somebody was told that the LUN is there and that these initiators see it."""
        there = self.array.lun_at(name)
        blind = [one for one in initiators if naa not in self.array.presented([one])]
        if (there is None or naa_of(there) != naa) and not self._overturned(f"lun {name}", since):
            self.broken("every success is true", f"{self.stage.who()} was told that there is a LUN {name}")
        elif blind and not self._overturned(f"map {naa}", since):
            self.broken("every success is true", f"{self.stage.who()} was told that {', '.join(blind)} see LUN {name}")

    def told_gone(self, name: str, initiators: Iterable[str], deleted: bool, since: int) -> None:
        """Somebody was told that these initiators do not see the LUN any more, or that it does not exist."""
        there = self.array.lun_at(name)
        if there is None:
            return
        seeing = [one for one in initiators if naa_of(there) in self.array.presented([one])]
        if deleted and not self._overturned(f"lun {name}", since):
            self.broken("every success is true", f"{self.stage.who()} was told that LUN {name} is deleted")
        elif seeing and not self._overturned(f"map {naa_of(there)}", since):
            self.broken("every success is true", f"{self.stage.who()} was told that {', '.join(seeing)} do not see LUN {name}")

    def _overturned(self, fact: str, since: int) -> bool:
        """Whether somebody else has changed the fact while the one to whom it was told was at work."""
        step, who = self.changes.get(fact, (-1, ""))
        return step >= since and who != self.stage.who()

    # The ends

    def ended(self, who: str, killed: bool) -> None:
        """An actor's run is over: what it owes must have been given back."""
        owed = [debt for debt in self.debts if debt.actor == who]
        self.debts = [debt for debt in self.debts if debt.actor != who]
        for debt in owed:
            vm = debt.user.vm
            if (
                not killed
                and vm.disk(debt.naa)
                and self._cut_off(debt.user, debt.naa, [host.iqn for host in debt.user.endpoint.hosts.values()])
            ):
                self.broken(
                    "nothing in use is unmapped", f"{who} unmapped LUN {self._name(debt.naa)}, and has not mapped it again for {debt.user}"
                )

        for by, user, naa in self.intruders:
            users = list(self.estate.users(naa))
            if by == who and not killed and user.vm.disk(naa) is user.disk and len(users) > 1 and not is_shared(users):
                self.broken(
                    "no LUN has two writers unasked", f"{who} has left {user} with LUN {self._name(naa)}, which {_names(users)} have"
                )

    def left_over(self) -> None:
        """Nothing is left when everybody has got what they wanted: groups without LUNs, devices and memories of LUNs that are gone."""
        for group in self.array.svm.igroups:
            if group.name.startswith("crossvisor_") and not self.array.svm.maps_in(group):
                self.broken("nothing is left over", f"igroup {group.name} has no LUN")
        for endpoint in self.estate.endpoints.values():
            for host in endpoint.hosts.values():
                self._left_on(endpoint, host)
            for vm in endpoint.vms.values():
                self._left_in(endpoint, vm)

    def _left_on(self, endpoint: EndpointNow, host: HostNow) -> None:
        shown = self.array.presented([host.iqn])
        for naa in sorted({*host.devices, *host.remembered} - shown.keys() - self.strangers):
            if self.deleted_from.get(naa, endpoint.name) == endpoint.name:
                state = host.devices[naa].state if naa in host.devices else "remembered"
                self.broken(
                    "nothing is left over", f"host {host.name} has LUN {self._name(naa)}, which it does not see any more, as {state}"
                )

    def _left_in(self, endpoint: EndpointNow, vm: VmNow) -> None:
        for disk in vm.disks.values():
            if not all(self.estate.sees(host, disk.naa) for host in endpoint.hosts_of(vm)):
                self.broken("nothing is left over", f"VM {vm.name} has LUN {self._name(disk.naa)}, which its hosts do not see")

    def _name(self, naa: str) -> str:
        lun = self.array.lun(naa)
        return lun.base_name if lun else naa


def _names(users: Sequence[User]) -> str:
    return ", ".join(str(user) for user in users)


def _disk(vm: VmNow, naa: str) -> str:
    return f"disk {vm.name} {naa}"
