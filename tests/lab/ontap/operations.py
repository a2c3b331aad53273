# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be done to LUNs, igroups and maps, and what ONTAP refuses."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tests.lab.ontap import names
from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.state import SPACE_ALLOCATION_BY_DEFAULT, SPACE_ALLOCATION_SINCE, Array, Igroup, Lun, LunMap, LunThen, Svm, Volume

Values = Mapping[str, Any]
"""A request body by dotted paths."""

T = TypeVar("T")

_IN_SNAPSHOT = re.compile(r"/vol/(?P<volume>[^/]+)/\.snapshot/(?P<snapshot>[^/]+)/(?P<lun>.+)")


def find_svm(array: Array, values: Values) -> Svm:
    """Return the SVM that ``svm.name`` and ``svm.uuid`` name; raises OntapError when there is none."""
    name, uuid = values.get("svm.name"), values.get("svm.uuid")
    if name is None and uuid is None:
        raise OntapError(Code.SVM_MISSING, 'Either "svm.uuid" or "svm.name" must be provided.', "svm")
    found = [svm for svm in array.svms if (name is None or svm.name == name) and (uuid is None or svm.uuid == uuid)]
    if found:
        return found[0]
    if name is not None and uuid is not None and {name, uuid} & {key for svm in array.svms for key in (svm.name, svm.uuid)}:
        raise OntapError(Code.SVM_MISMATCH, "The svm.uuid and svm.name do not refer to the same SVM.", "svm")
    raise OntapError(Code.SVM_NOT_FOUND, f'SVM "{name or uuid}" does not exist.', "svm.name" if name is not None else "svm.uuid")


def find_by_uuid(objects: Iterable[tuple[Svm, T]], uuid_of: Callable[[T], str], uuid: str, missing: OntapError) -> tuple[Svm, T]:
    """Return the object of this UUID with its SVM; raises ``missing``."""
    for svm, candidate in objects:
        if uuid_of(candidate) == uuid:
            return svm, candidate
    raise missing


def find_lun(array: Array, uuid: str) -> tuple[Svm, Lun]:
    """Return the visible LUN of this UUID with its SVM."""
    luns = ((svm, lun) for svm in array.svms for lun in svm.visible_luns)
    return find_by_uuid(luns, lambda lun: lun.uuid, uuid, OntapError(Code.LUN_NOT_FOUND, f'LUN with UUID "{uuid}" was not found.', "uuid"))


def _lun_to_change(array: Array, uuid: str) -> tuple[Svm, Lun]:
    """Return the LUN of this UUID, which a change does not find under another code than a look does."""
    try:
        return find_lun(array, uuid)
    except OntapError as error:
        raise OntapError(Code.LUN_TO_CHANGE_NOT_FOUND, "The specified LUN was not found.", "uuid") from error


def find_igroup(array: Array, uuid: str) -> tuple[Svm, Igroup]:
    """Return the igroup of this UUID with its SVM."""
    igroups = ((svm, igroup) for svm in array.svms for igroup in svm.igroups)
    missing = OntapError(Code.IGROUP_NOT_FOUND, f'Initiator group with UUID "{uuid}" does not exist.', "uuid")
    return find_by_uuid(igroups, lambda igroup: igroup.uuid, uuid, missing)


def find_volume(array: Array, uuid: str) -> tuple[Svm, Volume]:
    """Return the volume of this UUID with its SVM."""
    volumes = ((svm, volume) for svm in array.svms for volume in svm.volumes)
    return find_by_uuid(volumes, lambda volume: volume.uuid, uuid, OntapError(Code.NO_ENTRY, "entry doesn't exist", "uuid"))


def modify_volume(array: Array, uuid: str, values: Values) -> None:
    """Take a volume offline, restrict it, or bring it online."""
    _svm, volume = find_volume(array, uuid)
    volume.state = _choice(values.get("state", volume.state), names.VOLUME_STATES, "state")


def modify_svm(array: Array, uuid: str, values: Values) -> None:
    """Stop or start an SVM."""
    svm = find_svm(array, {"svm.uuid": uuid})
    svm.running = _choice(values.get("state", "running"), names.SVM_STATES, "state") == "running"


def modify_iscsi_service(array: Array, svm_uuid: str, values: Values) -> None:
    """Disable or enable the iSCSI service of an SVM."""
    find_svm(array, {"svm.uuid": svm_uuid}).iscsi_enabled = as_bool(values.get("enabled", True), "enabled")


def modify_lif(array: Array, svm_name: str, lif: str, values: Values) -> None:
    """Take the LIF of this address or WWPN out of service, or into it."""
    down = find_svm(array, {"svm.name": svm_name}).down
    down.discard(lif)
    if not as_bool(values.get("enabled", True), "enabled"):
        down.add(lif)


def create_lun(array: Array, values: Values) -> Lun:
    """Create a LUN in an existing volume and return it."""
    svm = find_svm(array, values)
    volume, base_name = _place(svm, values)
    source = _source(svm, volume, values)
    if source is not None:
        values = _of_clone(source, values)
    for required in ("os_type", "space.size"):
        if values.get(required) is None:
            raise OntapError(Code.LUN_PROPERTY_MISSING, f'The "{required}" property is required when creating a new LUN.', required)
    os_type = _choice(values["os_type"], names.LUN_OS_TYPES, "os_type")
    lun = Lun(
        volume, base_name, names.lun_size(names.size_in_bytes(values["space.size"]), os_type), os_type, _unused_serial(array),
        reserved=as_bool(values.get("space.guarantee.requested", False), "space.guarantee.requested"),
        space_allocation=as_bool(
            values.get("space.scsi_thin_provisioning_support_enabled", _allocates_space(array, os_type)),
            "space.scsi_thin_provisioning_support_enabled",
        ),
        comment=str(values.get("comment") or ""), auto_delete=as_bool(values.get("auto_delete", False), "auto_delete"),
        used=source.used if source else 0,
    )  # fmt: skip
    _refuse_taken_path(svm, lun.path)
    _refuse_offline(volume)
    _refuse_lack_of_space(svm, volume, lun.size if lun.reserved else 0, lun.path)
    lun.hidden_reads, array.hide_next = array.hide_next, 0
    svm.luns.append(lun)
    if source is not None:
        array.copies.append((source.data, lun.uuid))
    return lun


def modify_lun(array: Array, uuid: str, values: Values) -> None:
    """Rename, move, grow, overwrite or otherwise change a LUN: everything or, when a part is refused, nothing."""
    svm, lun = _lun_to_change(array, uuid)
    _refuse_offline(lun.volume)
    volume, base_name = _place(svm, {"name": lun.path, **values}) if "name" in values else (lun.volume, lun.base_name)
    size = _grown(lun, values)
    reserved = as_bool(values.get("space.guarantee.requested", lun.reserved), "space.guarantee.requested")
    if (volume, base_name) != (lun.volume, lun.base_name):
        _refuse_offline(volume)
        _refuse_taken_path(svm, f"/vol/{volume.name}/{base_name}")
    source = _source(svm, volume, values)
    size = size if source is None else source.size
    held = lun.size if lun.reserved and volume is lun.volume else 0
    _refuse_lack_of_space(svm, volume, (size if reserved else 0) - held, lun.path)
    allocation = "space.scsi_thin_provisioning_support_enabled"
    lun.space_allocation = as_bool(values.get(allocation, lun.space_allocation), allocation)
    lun.enabled = as_bool(values.get("enabled", lun.enabled), "enabled")
    lun.auto_delete = as_bool(values.get("auto_delete", lun.auto_delete), "auto_delete")
    lun.comment = str(values.get("comment", source.comment if source else lun.comment) or "")
    if volume is not lun.volume:
        lun.moved_from = lun.path
    if source is not None:
        lun.used = source.used
        array.copies.append((source.data, lun.uuid))
    lun.volume, lun.base_name, lun.size, lun.reserved = volume, base_name, size, reserved


def delete_lun(array: Array, uuid: str, *, while_mapped: bool) -> None:
    """Delete a LUN, with its maps only if ``while_mapped``."""
    svm, lun = _lun_to_change(array, uuid)
    _refuse_offline(lun.volume)
    if svm.maps_of(lun) and not while_mapped:
        raise OntapError(Code.LUN_MAPPED, f'LUN "{lun.path}" is mapped; specify "allow_delete_while_mapped" to delete it.', "uuid")
    svm.maps = [lun_map for lun_map in svm.maps if lun_map.lun is not lun]
    svm.luns.remove(lun)


def create_igroup(array: Array, values: Values) -> Igroup:
    """Create an igroup, with initiators if given, and return it."""
    svm = find_svm(array, values)
    for required in ("name", "os_type"):
        if values.get(required) is None:
            raise OntapError(Code.INVALID_VALUE, f'Field "{required}" is required to create an initiator group.', required)
    name = names.igroup_name(values["name"])
    _refuse_taken_igroup_name(svm, name)
    os_type = _choice(values["os_type"], names.IGROUP_OS_TYPES, "os_type")
    protocol = _choice(values.get("protocol", "mixed"), names.PROTOCOLS, "protocol")
    members = initiators_of(values.get("initiators", []), protocol)
    nested = _groups_named(svm, values.get("igroups", []))
    if members and nested:
        raise OntapError(Code.INITIATORS_AND_IGROUPS, "An initiator group cannot contain both initiators and initiator groups.", "igroups")
    igroup = Igroup(name, protocol, os_type, members, str(values.get("comment") or ""), igroups=nested)
    _refuse_os_type_conflict(svm, igroup.members, os_type, igroup, Code.CREATE_OS_TYPE_CONFLICT)
    svm.igroups.append(igroup)
    return igroup


def modify_igroup(array: Array, uuid: str, values: Values) -> None:
    """Rename an igroup, or change its comment or operating system type."""
    svm, igroup = find_igroup(array, uuid)
    name = names.igroup_name(values.get("name", igroup.name))
    if name != igroup.name:
        _refuse_taken_igroup_name(svm, name)
    os_type = _choice(values.get("os_type", igroup.os_type), names.IGROUP_OS_TYPES, "os_type")
    _refuse_os_type_conflict(svm, igroup.members, os_type, igroup, Code.MODIFY_OS_TYPE_CONFLICT)
    igroup.name, igroup.os_type, igroup.comment = name, os_type, str(values.get("comment", igroup.comment) or "")


def delete_igroup(array: Array, uuid: str, *, while_mapped: bool) -> None:
    """Delete an igroup, with its maps only if ``while_mapped``."""
    svm, igroup = find_igroup(array, uuid)
    _refuse_mapped_igroup(svm, igroup, while_mapped)
    svm.maps = [lun_map for lun_map in svm.maps if lun_map.igroup is not igroup]
    for parent in svm.parents_of(igroup):
        parent.igroups.remove(igroup)
    svm.igroups.remove(igroup)


def add_initiators(array: Array, uuid: str, entries: Any) -> list[str]:
    """Add initiators to an igroup and return their names: all of them or, when one is refused, none."""
    svm, igroup = find_igroup(array, uuid)
    members = initiators_of(entries, igroup.protocol)
    if not members:
        raise OntapError(Code.INITIATORS_MISSING, "Initiators must be supplied.", "name")
    for name in members:
        if name in igroup.initiators:
            raise OntapError(Code.INITIATOR_MEMBER, f'Initiator "{name}" is already in initiator group "{igroup.name}".', "name")
    if igroup.igroups:
        raise OntapError(Code.INITIATORS_AND_IGROUPS, f'Initiator group "{igroup.name}" contains initiator groups.', "name")
    _refuse_os_type_conflict(svm, members, igroup.os_type, igroup, Code.ADD_OS_TYPE_CONFLICT)
    for name in members:
        _refuse_clash_of_joining(svm, igroup, name)
    igroup.initiators.update(members)
    return list(members)


def comment_initiator(array: Array, uuid: str, name: str, comment: str) -> None:
    """Change the comment of a member of an igroup."""
    _first, igroup = find_igroup(array, uuid)
    igroup.initiators[_member(igroup, name)] = comment


def remove_initiator(array: Array, uuid: str, name: str, *, while_mapped: bool) -> None:
    """Remove a member of an igroup; one of a mapped igroup only if ``while_mapped``."""
    svm, igroup = find_igroup(array, uuid)
    member = _member(igroup, name)
    _refuse_mapped_igroup(svm, igroup, while_mapped)
    del igroup.initiators[member]


def find_nested(array: Array, uuid: str, nested_uuid: str) -> Igroup:
    """Return the group of this UUID that is directly in another one."""
    _svm, igroup = find_igroup(array, uuid)
    found = [nested for nested in igroup.igroups if nested.uuid == nested_uuid]
    if not found:
        raise OntapError(Code.NO_ENTRY, "entry doesn't exist", "uuid")
    return found[0]


def add_groups(array: Array, uuid: str, entries: Any) -> list[Igroup]:
    """Put groups into an igroup and return them: all of them or, when one is refused, none."""
    svm, igroup = find_igroup(array, uuid)
    added = _groups_named(svm, entries)
    if igroup.initiators:
        raise OntapError(Code.INITIATORS_AND_IGROUPS, f'Initiator group "{igroup.name}" contains initiators.', "igroups")
    for nested in added:
        if igroup in (nested, *nested.nested) or nested in igroup.igroups:
            raise OntapError(Code.DUPLICATE, f'Initiator group "{nested.name}" cannot be in "{igroup.name}" again, nor in itself.', "name")
        _refuse_os_type_conflict(svm, nested.members, igroup.os_type, igroup, Code.ADD_OS_TYPE_CONFLICT)
        for name in nested.members:
            _refuse_clash_of_joining(svm, igroup, name)
    igroup.igroups += added
    return added


def remove_group(array: Array, uuid: str, nested_uuid: str, *, while_mapped: bool) -> None:
    """Take a group out of an igroup; out of a mapped one only if ``while_mapped``."""
    svm, igroup = find_igroup(array, uuid)
    nested = find_nested(array, uuid, nested_uuid)
    _refuse_mapped_igroup(svm, igroup, while_mapped)
    igroup.igroups.remove(nested)


def create_map(array: Array, values: Values) -> LunMap:
    """Map a LUN to an igroup, under the lowest free number unless one is given, and return the map."""
    svm = find_svm(array, values)
    lun, igroup = _lun_to_map(svm, values), _igroup_to_map(svm, values)
    if any(lun_map.igroup is igroup for lun_map in svm.maps_of(lun)):
        raise OntapError(Code.ALREADY_MAPPED, f'LUN "{lun.path}" is already mapped to initiator group "{igroup.name}".', "lun")
    seen = svm.maps_seen_by(igroup.members)
    for other in seen:
        if other.lun is lun:
            message = f'LUN "{lun.path}" is already mapped to an initiator of "{igroup.name}" through "{other.igroup.name}".'
            raise OntapError(Code.MAPPED_TWICE_BY_INITIATOR, message, "igroup")
    number = _number(array.lun_ids, svm, igroup, seen, values.get("logical_unit_number"))
    lun_map = LunMap(lun, igroup, number)
    svm.maps.append(lun_map)
    return lun_map


def find_map(array: Array, lun_uuid: str, igroup_uuid: str) -> tuple[Svm, LunMap]:
    """Return the map of this LUN and igroup with its SVM."""
    for svm in array.svms:
        for lun_map in svm.maps:
            if (lun_map.lun.uuid, lun_map.igroup.uuid) == (lun_uuid, igroup_uuid):
                return svm, lun_map
    find_lun(array, lun_uuid)
    if not any(igroup.uuid == igroup_uuid for svm in array.svms for igroup in svm.igroups):
        raise OntapError(Code.IGROUP_OF_MAP_NOT_FOUND, "The specified initiator group does not exist.", "igroup.uuid")
    raise OntapError(Code.MAP_NOT_FOUND, "The specified LUN map was not found.", "lun.uuid")


def delete_map(array: Array, lun_uuid: str, igroup_uuid: str) -> None:
    """Unmap a LUN from an igroup."""
    svm, lun_map = find_map(array, lun_uuid, igroup_uuid)
    svm.maps.remove(lun_map)


def as_bool(value: object, target: str) -> bool:
    """Return the truth of ``true``/``false`` in any case; raises OntapError for anything else."""
    text = str(value).lower()
    if text not in {"true", "false"}:
        raise OntapError(Code.INVALID_VALUE, f'The value "{value}" is invalid for field "{target}" ({{true|false}})', target)
    return text == "true"


def initiators_of(entries: Any, protocol: str) -> dict[str, str]:
    """Return the stored names and comments of ``[{"name", "comment"}]`` or ``{"records": […]}``."""
    rows = entries.get("records", []) if isinstance(entries, Mapping) else entries
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise OntapError(Code.INVALID_VALUE, 'The value of field "initiators" must be an array of objects.', "initiators")
    unknown = sorted({key for row in rows for key in row} - {"name", "comment"})
    if unknown:
        raise OntapError(Code.UNEXPECTED_ARGUMENT, f'Unexpected argument "initiators.{unknown[0]}".', f"initiators.{unknown[0]}")
    return {names.initiator_name(row.get("name"), protocol): str(row.get("comment") or "") for row in rows}


def _groups_named(svm: Svm, entries: Any) -> list[Igroup]:
    """Return the groups of ``[{"name", "uuid"}]``."""
    if not isinstance(entries, list) or not all(isinstance(row, Mapping) for row in entries):
        raise OntapError(Code.INVALID_VALUE, 'The value of field "igroups" must be an array of objects.', "igroups")
    return [_igroup_to_map(svm, {f"igroup.{key}": value for key, value in row.items()}) for row in entries]


def _allocates_space(array: Array, os_type: str) -> bool:
    return array.release >= SPACE_ALLOCATION_SINCE and os_type in SPACE_ALLOCATION_BY_DEFAULT


def _choice(value: object, allowed: tuple[str, ...], target: str) -> str:
    if value not in allowed:
        raise OntapError(Code.INVALID_VALUE, f'The value "{value}" is invalid for field "{target}" ({"|".join(allowed)})', target)
    return str(value)


def _place(svm: Svm, values: Values) -> tuple[Volume, str]:
    """Return the volume and base name that ``name`` and ``location`` agree on."""
    path_volume, path_base = _split_name(values.get("name"))
    volume_name = _agreed(path_volume, values.get("location.volume.name"), Code.LUN_VOLUME_MISMATCH, "location.volume.name")
    base_name = _agreed(path_base, values.get("location.logical_unit"), Code.LUN_BASE_NAME_MISMATCH, "location.logical_unit")
    volume = _volume(svm, volume_name, values.get("location.volume.uuid"))
    if values.get("location.qtree.name"):
        raise OntapError(Code.QTREE_NOT_FOUND, f'Qtree "{values["location.qtree.name"]}" was not found.', "location.qtree.name")
    if not base_name:
        raise OntapError(Code.LUN_BASE_NAME_MISSING, "No LUN path base name was provided for the LUN.", "name")
    if volume.is_root:
        raise OntapError(Code.LUN_ON_ROOT_VOLUME, "LUNs cannot be created on an SVM root volume.", "location.volume.name")
    return volume, names.lun_base_name(base_name)


def _source(svm: Svm, volume: Volume, values: Values) -> LunThen | None:
    """Return the LUN of which another becomes a clone, as it is now or in a snapshot; None where that is not asked."""
    name, uuid = values.get("clone.source.name"), values.get("clone.source.uuid")
    if name is None and uuid is None:
        return None
    if match := _IN_SNAPSHOT.fullmatch(str(name)):
        return _lun_in_snapshot(svm, volume, match)
    found = [lun for lun in svm.visible_luns if name in (None, lun.path) and uuid in (None, lun.uuid)]
    if not found:
        raise OntapError(Code.LUN_TO_CHANGE_NOT_FOUND, "The specified LUN was not found.", "clone.source")
    if found[0].volume is not volume:
        raise OntapError(Code.CLONE_ELSEWHERE, "A LUN clone and its source must be in the same volume.", "clone.source")
    return lun_then(found[0], found[0].uuid)


def _lun_in_snapshot(svm: Svm, volume: Volume, match: re.Match[str]) -> LunThen:
    if not any(one.name == match["volume"] for one in svm.volumes):
        raise OntapError(Code.VOLUME_NOT_FOUND, f'Volume "{match["volume"]}" was not found in SVM "{svm.name}".', "clone.source.name")
    if match["volume"] != volume.name:
        raise OntapError(Code.CLONE_ELSEWHERE, "A LUN clone and its source must be in the same volume.", "clone.source")
    snapshots = [snapshot for snapshot in volume.snapshots if snapshot.name == match["snapshot"]]
    found = [lun for snapshot in snapshots for lun in snapshot.luns if lun.base_name == match["lun"]]
    if not found:
        raise OntapError(Code.LUN_TO_CHANGE_NOT_FOUND, "The specified LUN was not found.", "clone.source")
    return found[0]


def lun_then(lun: Lun, data: str) -> LunThen:
    """Return the LUN as it is now."""
    return LunThen(lun.base_name, lun.size, lun.os_type, lun.used, lun.comment, data)


def _of_clone(source: LunThen, values: Values) -> Values:
    """Return the values of a new clone, which takes size and operating system from its source and may not be given others."""
    for given in ("os_type", "space.size"):
        if given in values:
            raise OntapError(Code.CLONE_PROPERTY, f'The "{given}" property cannot be specified when creating a LUN clone.', given)
    return {"space.scsi_thin_provisioning_support_enabled": False, **values, "os_type": source.os_type, "space.size": source.size}


def _split_name(name: Any) -> tuple[str | None, str | None]:
    if name is None:
        return None, None
    if not isinstance(name, str) or (name.startswith("/") and not name.startswith("/vol/")):
        raise _bad_lun_name(name)
    if not name.startswith("/"):
        return None, name
    parts = name.removeprefix("/vol/").split("/")
    if len(parts) == 3:
        raise OntapError(Code.QTREE_NOT_FOUND, f'Qtree "{parts[1]}" was not found.', "name")
    if len(parts) != 2 or not all(parts):
        raise _bad_lun_name(name)
    return parts[0], parts[1]


def _bad_lun_name(name: object) -> OntapError:
    return OntapError(Code.LUN_NAME_INVALID, f'"{name}" is not a valid LUN name; a path is /vol/<volume>[/<qtree>]/<lun>.', "name")


def _agreed(from_path: str | None, explicit: Any, code: Code, target: str) -> str | None:
    if from_path is not None and explicit is not None and from_path != explicit:
        raise OntapError(code, f'"{explicit}" contradicts the LUN\'s "name".', target)
    return from_path if from_path is not None else explicit


def _volume(svm: Svm, name: str | None, uuid: str | None) -> Volume:
    if name is None and uuid is None:
        raise OntapError(Code.LUN_VOLUME_MISSING, "No volume was specified for the LUN.", "location.volume")
    by_name = next((volume for volume in svm.volumes if volume.name == name), None)
    by_uuid = next((volume for volume in svm.volumes if volume.uuid == uuid), None)
    if name is not None and uuid is not None and by_name is not by_uuid:
        raise OntapError(Code.VOLUME_MISMATCH, "The volume's name and UUID do not refer to the same volume.", "location.volume")
    found = by_name or by_uuid
    if found is None:
        raise OntapError(Code.VOLUME_NOT_FOUND, f'Volume "{name or uuid}" was not found in SVM "{svm.name}".', "name")
    return found


def _unused_serial(array: Array) -> str:
    taken = {lun.serial for svm in array.svms for lun in svm.luns}
    return next(serial for serial in iter(names.new_serial, None) if serial not in taken)


def _grown(lun: Lun, values: Values) -> int:
    if "space.size" not in values:
        return lun.size
    size = names.lun_size(names.size_in_bytes(values["space.size"]), lun.os_type)
    if size == lun.size:
        raise OntapError(Code.SAME_SIZE, "New LUN size is the same as the old LUN size.", "space.size")
    if size < lun.size:
        raise OntapError(Code.LUN_SHRINK, f'Reducing the size of LUN "{lun.path}" is not allowed.', "space.size")
    return size


def _refuse_taken_path(svm: Svm, path: str) -> None:
    if any(lun.path == path for lun in svm.luns):
        raise OntapError(Code.LUN_EXISTS, f'A LUN or NVMe namespace already exists at path "{path}" in SVM "{svm.name}".', "name")


def _refuse_offline(volume: Volume) -> None:
    if volume.state != "online":
        raise OntapError(Code.VOLUME_NOT_ONLINE, f'Volume "{volume.name}" is {volume.state}.', "location.volume.name")


def _refuse_lack_of_space(svm: Svm, volume: Volume, more: int, path: str) -> None:
    if more > svm.available(volume):
        message = f'No space left on volume "{volume.name}" for LUN "{path}": {more} bytes to reserve, {svm.available(volume)} available.'
        raise OntapError(Code.NO_SPACE, message, "space.size")


def _refuse_taken_igroup_name(svm: Svm, name: str) -> None:
    if any(igroup.name == name for igroup in svm.igroups):
        raise OntapError(Code.IGROUP_EXISTS, f'An initiator group named "{name}" already exists in SVM "{svm.name}".', "name")


def _refuse_os_type_conflict(svm: Svm, initiators: Iterable[str], os_type: str, igroup: Igroup | None, code: Code) -> None:
    for other, initiator in itertools.product(svm.igroups, initiators):
        if other is not igroup and initiator in other.members and other.os_type != os_type:
            message = f'Initiator "{initiator}" is already in initiator group "{other.name}" with operating system type "{other.os_type}".'
            raise OntapError(code, message, "os_type")


def _refuse_mapped_igroup(svm: Svm, igroup: Igroup, while_mapped: bool) -> None:
    if svm.maps_in(igroup) and not while_mapped:
        message = f'Initiator group "{igroup.name}" is mapped to one or more LUNs; specify "allow_delete_while_mapped".'
        raise OntapError(Code.IGROUP_MAPPED, message, "uuid")


def _refuse_clash_of_joining(svm: Svm, igroup: Igroup, initiator: str) -> None:
    for new, seen in itertools.product(svm.maps_in(igroup), svm.maps_seen_by([initiator])):
        if new.lun is seen.lun:
            message = f'Initiator "{initiator}" would be mapped to LUN "{new.lun.path}" more than once.'
            raise OntapError(Code.MAPPED_TWICE_BY_INITIATOR, message, "name")
        if new.number == seen.number:
            message = f'Initiator "{initiator}" would see LUNs "{new.lun.path}" and "{seen.lun.path}" under LUN ID {new.number}.'
            raise OntapError(Code.LUN_ID_OF_INITIATOR, message, "name")


def _member(igroup: Igroup, name: str) -> str:
    if name.lower() not in igroup.initiators:
        raise OntapError(Code.INITIATOR_NOT_MEMBER, f'Initiator "{name}" is not a member of initiator group "{igroup.name}".', "name")
    return name.lower()


def _lun_to_map(svm: Svm, values: Values) -> Lun:
    name, uuid = values.get("lun.name"), values.get("lun.uuid")
    if name is None and uuid is None:
        raise OntapError(Code.MAP_LUN_MISSING, 'Either "lun.uuid" or "lun.name" must be provided to create a LUN map.', "lun")
    for lun in svm.visible_luns:
        if name in (None, lun.path) and uuid in (None, lun.uuid):
            return lun
    raise OntapError(Code.MAP_LUN_NOT_FOUND, f'LUN "{name or uuid}" was not found in SVM "{svm.name}".', "lun.name")


def _igroup_to_map(svm: Svm, values: Values) -> Igroup:
    name, uuid = values.get("igroup.name"), values.get("igroup.uuid")
    if name is None and uuid is None:
        raise OntapError(Code.MAP_IGROUP_MISSING, 'Either "igroup.uuid" or "igroup.name" must be provided to create a LUN map.', "igroup")
    for igroup in svm.igroups:
        if name in (None, igroup.name) and uuid in (None, igroup.uuid):
            return igroup
    raise OntapError(Code.IGROUP_NOT_FOUND, f'Initiator group "{name or uuid}" does not exist in SVM "{svm.name}".', "igroup.name")


def _number(allowed: range, svm: Svm, igroup: Igroup, seen: list[LunMap], asked: Any) -> int:
    field = "logical_unit_number"
    own = {lun_map.number for lun_map in svm.maps_in(igroup)}
    taken = own | {lun_map.number for lun_map in seen}
    if asked is None:
        return next(number for number in allowed if number not in taken)
    if not str(asked).isdigit() or int(asked) not in allowed:
        raise OntapError(Code.INVALID_VALUE, f'The value "{asked}" is invalid for field "{field}" ({allowed[0]}..{allowed[-1]})', field)
    if int(asked) in own:
        raise OntapError(Code.LUN_ID_IN_GROUP, f'LUN ID {asked} is already in use in initiator group "{igroup.name}".', field)
    if int(asked) in taken:
        other = next(lun_map for lun_map in seen if lun_map.number == int(asked))
        message = f'LUN ID {asked} is already in use by an initiator of "{igroup.name}" in initiator group "{other.igroup.name}".'
        raise OntapError(Code.LUN_ID_OF_INITIATOR, message, field)
    return int(asked)
