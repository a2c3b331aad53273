# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How people and systems write points in time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    ["2027-01-31T18:00:00Z", "2027-01-31 19:00+01:00", "2027-01-31T19:00:00.123+0100", " 2027-01-31t18:00:00z "],
)
def test_one_point_has_several_spellings(text: str) -> None:
    assert timestamps.parse(text) == datetime(2027, 1, 31, 18, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-01-31", "2027-01-31T18:00:00", "2027-13-01T00:00:00Z", "2027-01-31T25:00:00Z"])
def test_what_is_none_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"'{text}' is not a point in time: write date, time and zone, such as 2027"):
        timestamps.parse(text)


def test_it_is_written_in_utc() -> None:
    assert timestamps.written(timestamps.parse("2027-01-31T18:00:00+01:00")) == "2027-01-31T17:00:00+00:00"


@pytest.mark.parametrize("text", ["2001-01-01T00:00:00Z", "0d"])
def test_what_is_over_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=f"'{text}' is over already: give a later point in time"):
        timestamps.in_future(text)


@pytest.mark.parametrize(
    ("text", "later"),
    [("90m", timedelta(minutes=90)), ("12h", timedelta(hours=12)), ("7d", timedelta(days=7)), ("4 W", timedelta(weeks=4))],
)
def test_a_time_from_now_becomes_a_point(text: str, later: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime(2026, 11, 29, tzinfo=timezone.utc)
    monkeypatch.setattr(timestamps, "now", lambda: today)
    assert timestamps.in_future(text) == timestamps.written(today + later)
    assert timestamps.is_relative(text)
    assert not timestamps.is_relative(timestamps.in_future(text))
