# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a LUN to a volume in a Windows guest and back: the rules of safety, and the steps in the order that loses nothing."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import directories, file_systems
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath, is_letter
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.disk_steps import (
    BringOnline,
    DropGivenLetters,
    Erase,
    Format,
    Grow,
    Initialise,
    MakePartition,
    MakeWritable,
    SetLabel,
    TakeOver,
    UnmountErased,
    refuse_other_content,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.path_steps import (
    MakeDirectory,
    Mount,
    TakeOffline,
    Unmount,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish, objection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OK
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step


def plan_present(session: Session, wish: VolumeWish) -> Plan:
    """The steps to the wished volume on the LUN that the session has found.

    Raises `Refused` for what no step may touch, `InvalidInput` for a wish that this LUN cannot fulfil, `NotFound` when the LUN is gone.
    """
    _refuse_protected(session)
    _refuse_cut(session)
    refuse_other_content(session, wish)
    file_systems.check_fits(wish.file_system, wish.allocation_unit_bytes, session.layout.disk.size_bytes)
    mounting = _mounting(session, wish, wish.mount) if wish.mount else []
    preparing: list[Step] = [BringOnline(session), TakeOver(session, wish), MakeWritable(session), DropGivenLetters(session, wish)]
    erasing: list[Step] = [UnmountErased(session, wish), Erase(session, wish)] if wish.force else []
    making: list[Step] = [kind(session, wish) for kind in (Initialise, MakePartition, Format, SetLabel, Grow)]
    return Plan([*preparing, *erasing, *making, *mounting])


def plan_place(session: Session, path: AccessPath) -> list[Step]:
    """The steps after which a volume can be shown there. Raises `Refused` for a drive letter or directory that is not free."""
    holder = session.storage.holder(path)
    if holder:
        raise Refused(f"{path} on {session.guest} is taken by {holder}: choose another one, or free it first.")
    return [] if path.is_letter else [MakeDirectory(session, path, _directory_is_there(session, path))]


def plan_absent(session: Session) -> Plan:
    """The steps after which the guest does not use the LUN; nothing when it does not show it. Raises `Refused`."""
    layout = session.found
    if layout is None or layout.disk.offline:
        return Plan()
    _refuse_protected(session)
    return Plan([*(Unmount(session, path) for path in layout.access_paths), TakeOffline(session)])


def flush(session: Session, check_mode: bool) -> None:
    """Let Windows write what it has kept in memory for each volume on the LUN.

    Raises `NotFound` where the guest does not show it, `Refused` where it shows no volume of it that could be written to.
    """
    layout = session.layout
    if layout.disk.offline:
        raise Refused(f"Windows has {session.disk_in_words()} offline, so that it writes nothing to it: take the snapshot without it.")
    paths = {partition.volume_path for partition in layout.partitions}
    there = [volume for volume in layout.volumes if volume.path in paths and volume.file_system]
    if not there:
        raise Refused(
            f"Windows shows no volume with a file system on {session.disk_in_words()}, so that nobody knows what it has yet to write: take "
            "the snapshot without it."
        )
    if not check_mode:
        for volume in there:
            session.on_volume("Flush", volume.object_id, {})


def _refuse_protected(session: Session) -> None:
    disk = session.layout.disk
    if disk.boot:
        raise Refused(f"Windows runs from {session.disk_in_words()}, which is never touched, by force neither: name the LUN that is meant.")
    if disk.clustered:
        raise Refused(
            f"A failover cluster inside the guest keeps {session.disk_in_words()}: "
            "remove it from that cluster first, or let the cluster's own tools manage it."
        )
    if disk.state != DEVICE_OK:
        raise Refused(f"Windows says that {session.disk_in_words()} is {disk.state}: see that the VM can reach its LUN.")


def _refuse_cut(session: Session) -> None:
    layout = session.layout
    if layout.end > layout.disk.size_bytes:
        raise Refused(
            f"The partitions on {session.disk_in_words()} end at {layout.end} bytes, but it has only {layout.disk.size_bytes}: "
            "the LUN was made smaller, so give it back its size before anything is written to it."
        )


def _mounting(session: Session, wish: VolumeWish, path: AccessPath) -> list[Step]:
    """The steps to an access path that the LUN has already, or that is free."""
    if path.among(session.layout.access_paths):
        return [Mount(session, wish, path)]
    preparing = plan_place(session, path)
    if path.is_letter:
        _refuse_second_letter(session, wish)
    return [*preparing, Mount(session, wish, path)]


def _refuse_second_letter(session: Session, wish: VolumeWish) -> None:
    if objection(session.layout, wish):
        return  # the volume that has the other letter will be erased
    letters = [known.rstrip("\\") for known in session.layout.access_paths if is_letter(known)]
    if letters:
        raise Refused(
            f"The volume on {session.disk_in_words()} already is {letters[0]}, and can have one letter only: "
            f"ask for {letters[0]}, or take it away with state absent first."
        )


def _directory_is_there(session: Session, path: AccessPath) -> bool:
    """Tell whether the directory exists. Raises `Refused` when nothing can be mounted there."""
    carrier = session.storage.on_drive(path.drive)
    if carrier is None:
        raise Refused(
            f"{path} cannot be a mount point: {session.guest} has no volume {path.drive}, so choose a directory on one that it has."
        )
    if carrier.file_system.upper() != file_systems.NTFS:
        raise Refused(
            f"{path} cannot be a mount point on {session.guest}, because {path.drive} is {carrier.file_system or 'not formatted'}: "
            "choose a directory on an NTFS volume."
        )
    if carrier.is_planned or not directories.exists(session.client, path):
        return False
    if not directories.is_empty(session.client, path):
        raise Refused(f"The directory {path} on {session.guest} is not empty, and a mount would hide what is in it: choose another one.")
    return True
