# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mirrors by which another array presents a LUN under the same name, and goes on presenting it to its hosts: SnapMirror active sync.

What is deleted at one end is gone at both. Its relationships are those of consistency groups whose policy is of type `sync`; volumes,
SVMs and policies of type `async` are mirrored for the day when the original is lost, and are no second way to the LUN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, RemoteError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, Use

_KIND = "SnapMirror relationship"
_GROUP = "/cg/"


@dataclass(frozen=True)
class Mirror:
    """A relationship as the array tells it; what it does not tell is empty or None."""

    uuid: str
    here: str
    """Path of the end that is on this array."""
    there: str
    other_cluster: str
    volumes: frozenset[str]
    """Of the end that is here."""
    policy: str
    for_recovery: bool | None
    """It copies for the day when the original is lost."""


def uses_of(mirrors: Callable[[], Sequence[Mirror]], lun: Lun) -> list[Use]:
    """The relationships by which another array has the LUN too, or may have it as far as this one tells."""
    try:
        known = mirrors()
    except (AuthenticationFailed, RemoteError) as error:
        return [Use(f"{_KIND}s", f"of SVM {lun.svm}", "", f"cannot be read, {in_one_sentence(str(error))}")]
    return [use for mirror in known for use in _uses(lun, mirror)]


def _uses(lun: Lun, mirror: Mirror) -> Sequence[Use]:
    """The relationship as a use of the LUN, nothing where it is none."""
    svm, _colon, place = mirror.here.partition(":")
    if mirror.here and (svm != lun.svm or not place.startswith(_GROUP)):
        return ()
    if mirror.for_recovery or (mirror.volumes and not mirror.volumes & {lun.volume, lun.path}):
        return ()
    told = bool(mirror.here and mirror.volumes and mirror.for_recovery is False)
    other = f"{mirror.there} of cluster {mirror.other_cluster or 'unknown'}"
    how = f"with policy {mirror.policy or 'unknown'} presents it there too" if told else "does not tell whether it has it"
    return [Use(_KIND, f"of {mirror.here or 'an unknown place'} with {other}", mirror.uuid, how, lun.name if told else None)]
