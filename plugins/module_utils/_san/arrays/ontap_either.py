# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whichever of ONTAP's interfaces an array has: REST, else ZAPI."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import InterfaceMissing, ReleaseTooOld
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, MissingLibrary


def open_either(connection: Connection) -> Array:
    """REST where it is served by a release that has what the collection needs, else ZAPI; who the array is is asked only once.

    A login that REST refuses is not tried elsewhere, because an account is locked after some. Raises what REST said where ZAPI is no way
    out either, and beside it where ZAPI's library is missing.
    """
    rest = OntapRest(connection)
    try:
        rest.about()
    except (InterfaceMissing, ReleaseTooOld) as missing:
        rest.close()
        return _by_zapi(connection, missing)
    except CrossvisorError:
        rest.close()
        raise
    return rest


def _by_zapi(connection: Connection, missing: CrossvisorError) -> Array:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi

    try:
        zapi = OntapZapi(connection)
    except MissingLibrary as error:
        raise MissingLibrary(f"{str(missing).rstrip('.')}; over ZAPI it was not asked: {error}") from missing
    try:
        zapi.about()
    except CrossvisorError as error:
        zapi.close()
        raise (missing if isinstance(error, InterfaceMissing) else error) from None
    return zapi
