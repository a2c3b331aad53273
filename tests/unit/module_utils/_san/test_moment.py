# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked for one decision belongs together, and nothing else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment


def test_without_a_decision_each_question_is_for_itself() -> None:
    assert moment.now() is None


def test_a_decision_within_another_is_part_of_it() -> None:
    with moment.one():
        whole = moment.now()
        with moment.one():
            assert moment.now() is whole is not None
        assert moment.now() is whole


def test_each_decision_is_another_one() -> None:
    with moment.one():
        first = moment.now()
    with moment.one():
        assert moment.now() is not first


def test_a_decision_ends_when_it_fails() -> None:
    with pytest.raises(ValueError, match="no"), moment.one():
        raise ValueError("no")
    assert moment.now() is None


def test_what_another_thread_asks_meanwhile_belongs_to_no_decision_of_this_one() -> None:
    with moment.one(), ThreadPoolExecutor() as beside:
        assert beside.submit(moment.now).result() is None
