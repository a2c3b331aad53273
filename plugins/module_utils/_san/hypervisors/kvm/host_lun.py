# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN as a KVM host can give it to a VM: as a device of the host, else over QEMU's own iSCSI initiator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline, progress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, TimedOut, option
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import base
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import path_states, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices as linux_devices
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import multipath, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.multipath import Grouping
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_LOST, DEVICE_OK, Given, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

REFUSE, ALLOW, MEND = base.REFUSE, base.ALLOW, base.MEND
_PATHS = "/dev/sd"
_MAP_SECONDS = 60.0
"""How long multipathd and udev may take for a LUN; `find_multipaths smart` alone waits for ten."""
_POLL_SECONDS = 1.0
_BY_A_DEVICE = "by its own adapters"
_BY_MULTIPATH = "by its own adapters and multipath (systemctl start multipathd)"


@dataclass(frozen=True)
class Wait:
    """The clock by which the host is waited for, and how long for a path that does I/O."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    seconds: float = 60.0


_BY_THE_CLOCK = Wait()


@dataclass(frozen=True)
class Mixture:
    """Paths of several LUNs that a host takes for one."""

    why: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.why}: {self.way_out}."


@dataclass(frozen=True)
class _Obstacle:
    """What keeps a LUN from being given to a VM for now."""

    why: str
    """The refusal, when it does not end."""
    awaited: str
    """Who is waited for, in a few words before the name of the LUN."""
    seconds: float
    """How long."""


def devices(host: KvmHost, name: ScsiName) -> list[ScsiDevice]:
    """The LUN as the host sees it, and as the targets of its iscsi-direct pools show it; none of them raises because a target is silent."""
    tree, answers = host.tree(), host.san()
    own = scsi.scsi_devices(tree, host.id) if tree else host.storage(()).devices
    as_device = [replace(device, given=_given(host.name, tree, name)) for device in own if device.name == name]
    shown = [device for device in answers.devices(host.id) if device.name == name]
    logins = [way.login for way in answers.showing(name) if way.login]
    return [*as_device[:1], *(replace(device, given=_given_over_network(login)) for device, login in zip(shown, logins))]


def source(host: KvmHost, name: ScsiName, single_path: str = REFUSE, wait: Wait = _BY_THE_CLOCK) -> Source:
    """How a VM gets the LUN now.

    A device of the host goes before the network, and multipath before a single path, which is given only where there is nothing but one, or
    by the user's word. Each path is asked first which LUN it is, and one that does I/O is waited for. Raises `NotFound` when neither the
    host nor the network shows the LUN, with what the targets said, and `Refused` when the host has it in a way that must not be given away.
    """
    device = host.storage(()).device_of(name)
    if device and device.state == DEVICE_OK:
        return Source("block", path=_link(host, name, single_path, wait))
    shown, failures = host.shown(name)
    if shown:
        return shown[0]
    if device and device.state == DEVICE_LOST:
        return Source("block", path=_link(host, name, single_path, wait))
    if device:
        raise Refused(f"LUN {name} is {device.state} on host {host.name}: repair its paths, then run this task again.")
    because = f" ({'; '.join(str(failure) for failure in failures)})" if failures else ""
    raise NotFound(
        f"Host {host.name} does not see LUN {name}, neither as a device nor over its iscsi-direct pools{because}: check that the array "
        "maps it to an initiator of this host (hba_info lists them), then run this task again."
    )


def by_one_path(host: KvmHost, disks: Iterable[tuple[ScsiName, str]]) -> list[tuple[ScsiName, str]]:
    """Those of VMs' LUNs, each with the device by which it is had, that lead to one path where the host has or expects multipath."""
    named = [(name, path) for name, path in disks if path.startswith("/dev/") and not multipath.is_grouped_name(path)]
    tree = host.tree() if named else None
    if tree is None:
        return []
    found = multipath.groupings(tree, {name for name, _path in named})
    return [(name, path) for name, path in named if found[name].map or (found[name].paths and found[name].expected)]


def mixtures(host: KvmHost, had: Iterable[str]) -> dict[tuple[str, ScsiName], Mixture]:
    """What is wrong with those devices of VMs, `/dev/mapper/mpatha`, that are multipath's and have paths of several LUNs, for each LUN."""
    paths = {path for path in had if path.startswith("/dev/")}
    tree = host.tree() if paths else None
    if tree is None:
        return {}
    blocks = {path: linux_devices.block_of(tree, path) for path in paths}
    mixed = multipath.mixed(tree, set(blocks.values()))
    found = multipath.groupings(tree, {name for names in mixed.values() for name in names}) if mixed else {}
    return {
        (path, name): _mixture(host.name, found[name]) or _silent_path(host.name, linux_devices.device_name(tree, block), name)
        for path, block in blocks.items()
        for name in mixed.get(block, ())
    }


def refuse_mixed(host: KvmHost, name: ScsiName, had: Iterable[str]) -> None:
    """Raise `Refused` where one of these devices, which a VM has as something else, reaches the LUN among others."""
    for (_path, lun), mixture in mixtures(host, had).items():
        if lun == name:
            raise Refused(str(mixture))


def refuse_without_map(host: KvmHost, name: ScsiName) -> None:
    """Raise `Refused` when the host has no multipath device of a LUN that a VM shall have by it."""
    tree = host.tree()
    found = multipath.grouping(tree, name) if tree else None
    if found and not found.map:
        raise Refused(_why_not(host.name, found, REFUSE))


def told_of_one_path(vm: str, name: ScsiName, path: str) -> str:
    """What somebody should know of such a disk."""
    return (
        f"VM {vm} has LUN {name} by the name of a single path, {path}, and stops when that path is lost: attach it by its multipath device "
        f"with {option('single_path', MEND)}."
    )


def told_of_reservations(host: KvmHost, name: ScsiName) -> list[str]:
    """What somebody should know who has a guest reserve a LUN that the host has by multipath, or is going to have so."""
    tree = host.tree()
    knows = multipath.helper_knows_multipath(tree) if tree else None
    found = multipath.grouping(tree, name) if tree else None
    if knows or found is None or not (found.map or found.daemon):
        return []
    helper = "nobody can tell whether it was" if knows is None else "it was not"
    sentence = (
        f"The reservations of LUN {name} may reach the array on one path alone, because host {host.name} has it by multipath, of which "
        f"QEMU's qemu-pr-helper knows only if built with {multipath.RESERVATION_LIBRARY}, and {helper}: use one that is, or the array "
        "refuses what guests write over the other paths."
    )
    return [sentence]


def paths(device: ScsiDevice) -> list[str]:
    """The kernel's names of the LUN's paths, such as `sda`."""
    return [alias[len("/dev/") :] for alias in device.aliases if alias.startswith(_PATHS)]


def _given(host: str, tree: Tree | None, name: ScsiName) -> Given:
    """How a VM gets the LUN as a device of the host, as far as the host's files tell."""
    if tree is None:
        return Given(_link_to_path(name), "by a device", _BY_A_DEVICE, refusal=_untold(host, name), by_one_path=True)
    found = multipath.grouping(tree, name)
    grouped = bool(found.map)
    how, likewise = (f"by multipath device {found.map}", _BY_MULTIPATH) if grouped else (f"by {_counted(found.paths)}", _BY_A_DEVICE)
    given = Given(found.link, how, likewise, best=grouped)
    obstacle = _mixed(host, found) or _unready(host, tree, found, REFUSE, _MAP_SECONDS)
    if obstacle is None:
        return given
    by_one_path = not _mixed(host, found) and not _unready(host, tree, found, ALLOW, _MAP_SECONDS)
    awaited = obstacle.seconds > 0 and (found.daemon or grouped or not found.expected)
    return replace(given, refusal=obstacle.why, by_one_path=by_one_path, passing=awaited)


def _given_over_network(login: Login) -> Given:
    """How a VM gets the LUN over QEMU's own initiator.

    Its name and the portal go with the VM to any host, and by them the target numbers its LUNs. A host whose pool names another portal of
    the target is taken to reach both.
    """
    where = login.target
    if login.user:
        where = f"{where}, as {login.user} with secret {login.secret.usage or login.secret.uuid}"
    return Given(where, f"over QEMU's own iSCSI initiator ({where})", f"by a pool of type iscsi-direct ({where})")


def _link(host: KvmHost, name: ScsiName, single_path: str, wait: Wait) -> str:
    """The link by identity to the multipath device, or where that is right to the one path, once it is there and a path does I/O."""
    tree = host.tree()
    if tree is None:
        return _link_untold(host, name, single_path)
    until = wait.clock() + deadline.left(max(wait.seconds, _MAP_SECONDS), f"a device of LUN {name}")
    last, since = None, 0.0
    while True:
        try:
            tree, found = _asked(host, tree, name)
            now = _obstacle(host, tree, found, single_path, wait.seconds)
        except TimedOut as over:
            if last is None:
                raise
            raise Refused(last.why) from over
        if now is None:
            return found.link
        since = since if last and last.awaited == now.awaited else wait.clock()
        if wait.clock() >= min(until, since + now.seconds):
            raise Refused(now.why)
        last = now
        progress.tell(f"waiting for {now.awaited} LUN {name} on {host.name}")
        wait.sleep(_POLL_SECONDS)


def _obstacle(host: KvmHost, tree: Tree, found: Grouping, single_path: str, seconds: float) -> _Obstacle | None:
    """Why a VM cannot be given the LUN right now, if it cannot; a path that does I/O may take so many seconds to come."""
    mixed = _mixed(host.name, found)
    if mixed:
        return mixed
    states = path_states.look(host, tree, found)
    if states.silent:
        return _Obstacle(states.why(), "a path that does I/O to", seconds)
    return _unready(host.name, tree, found, single_path, seconds)


def _unready(host: str, tree: Tree, found: Grouping, single_path: str, seconds: float) -> _Obstacle | None:
    """Why what a VM would be given is not there, if it is not; a path that the link leads to may take so many seconds to do I/O."""
    if (found.map or single_path == ALLOW or not found.expected) and found.is_linked(tree):
        path = found.linked(tree)
        alive = found.map or path in found.alive
        return None if alive else _Obstacle(_why_not_by(host, found, path), f"path {path} to do I/O to", seconds)
    return _Obstacle(_why_not(host, found, single_path), "multipathd and udev to make the device of", _MAP_SECONDS)


def _asked(host: KvmHost, tree: Tree, name: ScsiName) -> tuple[Tree, Grouping]:
    """How the host has the LUN, after each path that can answer was asked which LUN it is. Raises `Refused` when it is no more."""
    before = multipath.grouping(host.tree() or tree, name)
    rescan.identify(host, [path for path in before.paths if path in before.alive or path in before.empty])
    tree = host.tree() or tree
    found = multipath.grouping(tree, name)
    _refuse_given_away(host, tree, before, found)
    _refuse_unmapped(host, found)
    return tree, found


def _link_untold(host: KvmHost, name: ScsiName, single_path: str) -> str:
    """The link to a path, by the user's word, where nobody can tell how the host has the LUN together."""
    if single_path != ALLOW:
        raise Refused(_untold(host.name, name))
    return _link_to_path(name)


def _link_to_path(name: ScsiName) -> str:
    return f"/dev/disk/by-id/{name.wwn}"


def _untold(host: str, name: ScsiName) -> str:
    return (
        f"Nobody can tell from here whether host {host} has LUN {name} by multipath, because its files cannot be read: run the task there "
        f"with hypervisor.uri=qemu:///system or over qemu+ssh://, or vouch for one path with {option('single_path', ALLOW)}."
    )


def _refuse_given_away(host: KvmHost, tree: Tree, before: Grouping, found: Grouping) -> None:
    """Raise `Refused` when the paths by which the LUN was known are there, and none of them is the LUN."""
    if not found.paths and any(tree.exists(f"{linux_devices.CLASS}/{path}") for path in before.paths):
        raise Refused(
            f"The paths by which host {host.name} knew LUN {found.name} lead to another LUN by now, or do not answer, because its number "
            "was given away on the array: map it to this host again, then run this task again."
        )


def _mixed(where: str, found: Grouping) -> _Obstacle | None:
    """What is wrong where paths of two LUNs are taken for one, if anything is, for which multipathd has time to sort it out."""
    why = _mixture(where, found)
    return _Obstacle(str(why), "multipathd to part another LUN from", _MAP_SECONDS if found.daemon else 0) if why else None


def _mixture(where: str, found: Grouping) -> Mixture | None:
    """Which paths of two LUNs are taken for one, and what to do; None where none are."""
    name = found.name
    if found.strangers:
        return Mixture(
            f"Multipath device {found.map} of LUN {name} on host {where} has {', '.join(found.strangers)}, which is another LUN by now",
            f"take it out there (multipathd del path {found.strangers[0]}), because writes to {found.map} would reach both",
        )
    if found.elsewhere:
        return Mixture(
            f"Host {where} has LUN {name} as a path of multipath device {found.elsewhere[0]}, which is of another LUN",
            f"the array has given its number to this one, so let the host forget it first (multipath -f {found.elsewhere[0]}, and delete "
            "its paths)",
        )
    return None


def _silent_path(where: str, device: str, name: ScsiName) -> Mixture:
    """What is to be known of a LUN's multipath device with a path that the host has no more, or that says nothing."""
    return Mixture(
        f"Multipath device {device} of LUN {name} on host {where} has a path that does not tell which LUN it is",
        f"see which one there (multipath -ll {device}), and repair it or take it out",
    )


def _refuse_unmapped(host: KvmHost, found: Grouping) -> None:
    """Raise `Refused` when the array has said on every path that it has no such LUN, for which it is no use to wait."""
    if found.paths and set(found.paths) == set(found.empty):
        raise Refused(
            f"Host {host.name} has LUN {found.name} by {_counted(found.paths)}, and the array answers on none: check that it is online "
            "there and mapped to the initiators of this host (hba_info lists them), then run this task again."
        )


def _counted(paths: Sequence[str]) -> str:
    return f"{len(paths)} paths ({', '.join(paths)})" if len(paths) > 1 else f"one path ({paths[0]})"


def _why_not_by(host: str, found: Grouping, path: str) -> str:
    """Why the LUN is not given to a VM by a link that leads to a dead path."""
    return (
        f"Host {host} has LUN {found.name} by {_counted(found.paths)}, and the link {found.link} leads to {path}, which does no I/O: "
        f"repair that path, or remove it there (echo 1 > /sys/class/block/{path}/device/delete), upon which udev lets the link lead to "
        "another, then run this task again."
    )


def _why_not(host: str, found: Grouping, single_path: str) -> str:
    """Why the LUN is not given to a VM, after it was waited for."""
    if found.map or single_path == ALLOW or not found.expected:
        return f"Host {host} has LUN {found.name} and no link {found.link} to it yet: see what udev does there (udevadm settle)."
    by_word = f"or give the VM a single path with {option('single_path', ALLOW)}"
    lacking = f"Host {host} has LUN {found.name} by {_counted(found.paths)} and no multipath device of it"
    if not found.daemon:
        return f"{lacking}, because multipathd does not run there: start it (systemctl start multipathd), {by_word}."
    if len(found.paths) > 1:
        return f"{lacking}, though multipathd runs there: see why it leaves it out (multipath -v3 {found.paths[0]}, blacklist), {by_word}."
    return (
        f"{lacking}: see whether it lacks its other paths or multipath.conf wants more than one (find_multipaths), repair that, {by_word}."
    )
