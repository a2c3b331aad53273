# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One word for a LUN, a volume, an export, an SVM or an array."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.storage_word import may_be_called, meanings

LUN = {
    "naa": "600a098038304c61622d616161616131",
    "serial": "80Lab-aaaaa1",
    "lun_path": "/vol/vol_prod/ds1",
    "svm": "svm1",
    "volume": "vol_prod",
    "device": "naa.600a098038304c61622d616161616131",
    "array": "lab",
    "array_address": "ontap.example.com",
}
EXPORT = {"naa": "", "serial": "", "lun_path": "", "svm": "svm2", "volume": "vol_nfs", "device": "192.0.2.21:/vol_nfs", "array": None}


@pytest.mark.parametrize(
    ("word", "is_lun"),
    [
        ("naa.600a098038304c61622d616161616131", True),
        ("3600A098038304C61622D616161616131", True),
        ("80Lab-aaaaa1", True),
        ("38304c61622d616161616131", True),
        ("/vol/vol_prod/ds1", True),
        ("svm1:/vol/vol_prod/ds1", True),
        ("ds1", True),
        ("svm1:vol_prod", False),
        ("vol_prod", False),
        ("svm1", False),
        ("lab", False),
        ("ontap.example.com", False),
    ],
)
def test_a_lun_is_called_by_any_of_its_names_and_by_what_it_lies_in(word: str, is_lun: bool) -> None:
    assert may_be_called(word, LUN)
    assert not may_be_called(word, EXPORT)
    assert next(means_lun for means_lun, meaning in meanings(word) if meaning(LUN)) is is_lun


def test_an_export_is_called_by_its_path_and_its_volume() -> None:
    assert all(may_be_called(word, EXPORT) for word in ("192.0.2.21:/vol_nfs", "vol_nfs", "svm2", "svm2:vol_nfs"))


@pytest.mark.parametrize("word", ["svm2:vol_prod", "svm2:/vol/vol_prod/ds1", "vol", "DS1", "/vol/vol_prod"])
def test_what_is_not_its_name_is_none_of_it(word: str) -> None:
    assert not may_be_called(word, LUN)
