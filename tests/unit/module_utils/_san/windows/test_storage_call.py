# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Return values of the storage API become one sentence in Windows' own words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks, storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_call import call
from tests.lab.hyperv.running import Lab
from tests.unit.lab.hyperv.desk import HOST
from tests.unit.windows import Wire, client


def test_a_static_method_needs_no_keys() -> None:
    wire = Wire()
    call(client(Lab(), HOST, wire), storage_classes.STORAGE_SETTING, "UpdateHostStorageCache")
    assert wire.count("UpdateHostStorageCache") == 1


def test_a_refusal_has_the_words_and_the_code_of_the_machine() -> None:
    login = client(Lab(), HOST)
    boot = next(disk for disk in disks.disks_of(login) if disk.boot)
    with pytest.raises(RemoteError) as caught:
        call(login, storage_classes.DISK, "Offline", {"ObjectId": boot.object_id})
    assert (str(caught.value), caught.value.code) == (
        f"{HOST}:5986 refused Offline of MSFT_Disk (41009): Operation not supported on a critical disk.",
        "41009",
    )


@pytest.mark.parametrize(("code", "words"), [(43002, "the volume cannot be quick formatted"), (77777, "no reason was given")])
def test_a_refusal_without_words_gets_those_of_the_documentation(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def refuse(*arguments: Any, **settings: Any) -> Any:
        answer = client_call(*arguments, **settings)
        return type(answer)(answer.class_name, {**answer.properties, "ReturnValue": code})

    login = client(Lab(), HOST)
    client_call = login.call
    monkeypatch.setattr(login, "call", refuse)
    with pytest.raises(RemoteError, match=rf"refused UpdateHostStorageCache of MSFT_StorageSetting \({code}\): {words}\."):
        call(login, storage_classes.STORAGE_SETTING, "UpdateHostStorageCache")
