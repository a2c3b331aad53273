# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a Linux host that tell of its adapters, disks and mounts, as one archive: a shell script that packs them, and the unpacking.

Of QEMU's helper for reservations, the copy holds no more than the name of the library by which it knows multipath, if that is in it.

Whoever has a copy sends its mark along, and gets a new one only if anything has changed since: what disks, paths and devices there are,
how large and in which state, what is built on them, mounted or claimed. A host is packed again if that has changed meanwhile: paths of a
LUN and what lies on them come one after the other, and a multipath device that is seen above a path, and whose own files were listed
before, would be taken for a use of the LUN.

Files of sysfs say that they have 4096 bytes; GNU tar pads what is missing with zeros, which whoever reads them takes off. Those of procfs
say that they are empty, and are copied before they are packed. Binary attributes (`vpd_pg83`) are lost; `wwid` tells the same name. Of
open-iscsi's records of discoveries come the names alone: what is in them may be a password. Device nodes come as empty files.
"""

from __future__ import annotations

import io
import os
import shlex
import tarfile
from pathlib import Path, PurePosixPath

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import multipath
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_CLASSES = " ".join(
    f"sys/class/{name}"
    for name in (
        *("block", "fc_host", "fc_remote_ports", "iscsi_connection", "iscsi_host", "iscsi_session", "iscsi_transport"),
        *("nvme", "sas_host", "sas_phy", "scsi_device", "scsi_host"),
    )
)
_ATTRIBUTES = (
    "access_state ana_state backing_file board_name host_sas_address hostnqn initiatorname max_npiv_vports model model_name modelname name "
    "negotiated_linkrate node_name partition persistent_address persistent_port port_name port_speed port_state proc_name protocol roles "
    "sas_address size speed state subsysnqn subsystem_vendor suspended symbolic_name targetname transport type uuid vendor wwid"
)
_WANTED = f"^(f.*/({_ATTRIBUTES.replace(' ', '|')})|fsys/devices/pci.*/class|l.*/(device|driver|slaves/[^/]*|holders/[^/]*))$"
"""Of all files (f) and links (l) of sysfs. Whoever asks `find` for forty names, asks each of ten thousand files forty times."""
_COPIED = (
    "proc/self/mountinfo proc/1/mountinfo proc/swaps etc/iscsi/initiatorname.iscsi etc/multipath/bindings etc/os-release etc/nvme/hostnqn"
)

_HELPERS = " ".join(path.lstrip("/") for path in multipath.RESERVATION_HELPERS)

_CLAIMED = "crossvisor-claimed"
_CLAIMS = """
import errno, os
for block in sorted(os.listdir("/sys/class/block")):
    if not block.startswith(("bcache", "dm-", "drbd", "md", "sd")):
        continue
    try:
        os.close(os.open("/dev/" + block.replace("!", "/"), os.O_RDONLY | os.O_EXCL))
        print(block, 0)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.EIO):
            print(block, int(error.errno == errno.EBUSY))
"""
"""Which block devices nobody can open exclusively (`linux.exclusive`), by the host's own Python: no shell can open so.

Asked of disks and of what is built on them, because for a moment it keeps everybody else from claiming the device.
"""

_MARK = "crossvisor-mark"
SAME = b"crossvisor-same"
_CHANGING_LINKS = (
    "sys/block sys/block/*/holders sys/block/*/*/holders sys/block/*/slaves sys/class/scsi_device sys/class/fc_remote_ports "
    "sys/class/iscsi_session sys/fs/btrfs dev/disk dev/mapper"
)
_CHANGING_FILES = (
    "sys/block/*/size sys/block/*/*/size sys/block/*/dm/name sys/block/*/dm/suspended sys/block/*/dm/uuid sys/block/*/loop/backing_file "
    "sys/class/scsi_device/*/device/wwid sys/class/scsi_device/*/device/state sys/class/scsi_device/*/device/access_state"
)
"""By what a change is noticed, beside what is copied. A look is many times as cheap as a copy: as few processes as can be."""
_DISCOVERIES = "etc/iscsi/send_targets var/lib/iscsi/send_targets"

_ATTEMPTS = "1 2 3 4 5"
"""How often a host is packed that does not come to rest meanwhile; the last copy is taken as it is."""

_SCRIPT = f"""cd / || exit 1
known=KNOWN
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy" "$copy.list" "$copy.tar"' EXIT
look() {{
    rm -rf "${{copy:?}}"/*
    set --
    for file in {_COPIED}; do if [ -r "$file" ]; then set -- "$@" "$file"; fi; done
    cp --parents "$@" $(grep -lsx multipathd proc/[0-9]*/comm) "$copy"
    for python in python3 /usr/libexec/platform-python; do
        command -v "$python" >/dev/null 2>&1 && "$python" -IS -c '{_CLAIMS}' >"$copy/{_CLAIMED}" 2>/dev/null && break
    done
    mark=$({{
        cat "$copy"/proc/*/* "$copy/proc/swaps" "$copy/{_CLAIMED}"
        find {_CHANGING_LINKS} -type l -printf '%p %l\\n'
        grep -H . {_CHANGING_FILES}
    }} 2>/dev/null | sha256sum)
    mark=${{mark%% *}}
}}
look
if [ -n "$known" ] && [ "$known" = "$mark" ]; then echo {SAME.decode()}; exit; fi
for attempt in {_ATTEMPTS}; do
    packed=$mark
    echo "$packed" >"$copy/{_MARK}"
    for helper in {_HELPERS}; do
        [ -r "$helper" ] && mkdir -p "$copy/${{helper%/*}}" && grep -ao '{multipath.RESERVATION_LIBRARY}' "$helper" >"$copy/$helper"
    done
    {{
        find {_CLASSES} -mindepth 1 -maxdepth 1
        find sys/block sys/dev/block sys/fs/btrfs sys/bus/pci/devices dev/disk dev/mapper -type l
        find dev -maxdepth 2 '(' -type b -o -type l -lname '*dm-*' ')'
        find {_DISCOVERIES} -mindepth 1 -maxdepth 1 -type d
        find sys/devices -type d '(' -name power -o -path sys/devices/system ')' -prune \
            -o -type f -printf 'f%p\\n' -o -type l -printf 'l%p\\n' | LC_ALL=C grep -E '{_WANTED}' | cut -c 2-
    }} 2>/dev/null >"$copy.list"
    tar -c -f "$copy.tar" --no-recursion --ignore-failed-read -T "$copy.list" -C "$copy" $(cd "$copy" && find . -type f) 2>/dev/null
    look
    [ "$mark" = "$packed" ] && break
done
gzip -1 <"$copy.tar"
"""


def script(known: str = "") -> str:
    """A POSIX shell script that prints the archive, compressed, or that it is the same as the one with the mark `known`."""
    return _SCRIPT.replace("KNOWN", shlex.quote(known), 1)


def is_same(answer: bytes) -> bool:
    """Whether the host said that nothing has changed since the copy whose mark it was told."""
    return answer.strip() == SAME


def mark(root: Path) -> str:
    """The mark of a copy; empty for one without."""
    return Tree(root).text(f"/{_MARK}") or ""


def unpack(archive: bytes, root: Path) -> bool:
    """Write an archive's files and links below `root`, and nothing elsewhere; False when it is no archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
            members = packed.getmembers()
            for member in members:
                if member.isfile():
                    _write(packed, member, root)
                elif member.isdir() or member.isblk():
                    _stand_in(member, root)
    except (tarfile.TarError, OSError, EOFError):
        return False
    for member in members:
        if member.issym():
            _link(member, root)
    return True


def claimed(root: Path) -> dict[str, bool]:
    """Whether anything held each block device of a copy when it was made; those of which the host could not tell are missing."""
    found = Tree(root).text(f"/{_CLAIMED}") or ""
    return {words[0]: words[1] == "1" for words in map(str.split, found.splitlines()) if len(words) == 2}


def _write(packed: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    place, content = _place(member, root), packed.extractfile(member)
    if place and content:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.read())


def _stand_in(member: tarfile.TarInfo, root: Path) -> None:
    """An empty directory, or an empty file where the host has a device node."""
    place = _place(member, root)
    if place and member.isdir():
        place.mkdir(parents=True, exist_ok=True)
    elif place and not os.path.lexists(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def _link(member: tarfile.TarInfo, root: Path) -> None:
    """Links come last, so that no file is written through one; whoever reads them has to stay below the root."""
    place = _place(member, root)
    if place is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.parent.resolve() == place.parent and not os.path.lexists(place):
        place.symlink_to(member.linkname)


def _place(member: tarfile.TarInfo, root: Path) -> Path | None:
    path = PurePosixPath(member.name)
    return None if path.is_absolute() or ".." in path.parts else root.resolve() / path
