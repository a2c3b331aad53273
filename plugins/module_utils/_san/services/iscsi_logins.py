# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an array shows a LUN over iSCSI, and how to log in there: by the user's word, else by the array's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation

_PORTS = range(1, 65536)


def logins(given: Mapping[str, Any] | None, presentation: Presentation | None) -> Callable[[], Sequence[IscsiLogin]]:
    """What answers with the targets, each way once; the array is asked only where the user names no address. Raises `InvalidInput`."""
    wish = {name: value for name, value in (given or {}).items() if value not in (None, "")}
    _refuse_half(wish, "chap_username", "chap_password")
    _refuse_half(wish, "mutual_chap_username", "mutual_chap_password")
    if "mutual_chap_username" in wish and "chap_username" not in wish:
        raise InvalidInput("iscsi.mutual_chap_username was given without iscsi.chap_username: CHAP proves the initiator first; give both.")
    if wish.get("port", _PORTS[0]) not in _PORTS:
        raise InvalidInput(f"iscsi.port {wish['port']} does not exist: give a number from {_PORTS[0]} to {_PORTS[-1]}, mostly 3260.")
    if "port" in wish and "address" not in wish:
        raise InvalidInput(
            "iscsi.port was given without iscsi.address, so that nobody can tell of which portal it is: give both, or neither."
        )
    if "address" in wish:
        named = _login(wish, Portal(wish["address"], wish.get("port", Portal("").port)), wish.get("target", ""))
        return lambda: (named,)

    @cache
    def asked() -> Sequence[IscsiLogin]:
        targets = presentation.targets() if presentation else []
        wanted = [target for target in targets if target.name == wish.get("target", target.name)]
        return tuple(_login(wish, portal, target.name) for target in wanted for portal in target.portals)

    return asked


def _login(wish: Mapping[str, Any], portal: Portal, iqn: str) -> IscsiLogin:
    return IscsiLogin(
        address=portal.address,
        port=portal.port,
        iqn=iqn,
        username=wish.get("chap_username", ""),
        password=wish.get("chap_password", ""),
        mutual_username=wish.get("mutual_chap_username", ""),
        mutual_password=wish.get("mutual_chap_password", ""),
    )


def _refuse_half(wish: Mapping[str, Any], name: str, secret: str) -> None:
    if (name in wish) != (secret in wish):
        raise InvalidInput(f"Only one of iscsi.{name} and iscsi.{secret} was given: give both, or neither.")
