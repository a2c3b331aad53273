# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM's datetime: both spellings read back what was written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_datetime import format_datetime, format_iso, parse_datetime

zones = st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
points = st.datetimes(timezones=zones)
intervals = st.timedeltas(timedelta(), timedelta(days=10**8 - 1, hours=23))


@given(st.one_of(points, intervals))
def test_what_is_written_is_read_back(moment: datetime | timedelta) -> None:
    assert parse_datetime(format_datetime(moment)) == moment
    assert parse_datetime(format_iso(moment)) == moment


@given(st.one_of(points, intervals))
def test_cims_spelling_has_25_characters(moment: datetime | timedelta) -> None:
    assert len(format_datetime(moment)) == 25


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("20130211141904.500000+060", datetime(2013, 2, 11, 14, 19, 4, 500000, timezone(timedelta(hours=1)))),
        ("20130211141904.000000-090", datetime(2013, 2, 11, 14, 19, 4, tzinfo=timezone(-timedelta(minutes=90)))),
        ("00000001020304.000005:000", timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=5)),
        ("2013-03-09T03:06:25Z", datetime(2013, 3, 9, 3, 6, 25, tzinfo=timezone.utc)),
        ("2013-04-09T15:42:20.4124Z", datetime(2013, 4, 9, 15, 42, 20, 412400, timezone.utc)),
        ("2013-04-09T15:42:20.123456789-01:30", datetime(2013, 4, 9, 15, 42, 20, 123456, timezone(-timedelta(minutes=90)))),
        ("2013-04-09", datetime(2013, 4, 9, tzinfo=timezone.utc)),
        (" P1DT2H3M4.5S\n", timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=500000)),
        ("PT20S", timedelta(seconds=20)),
        ("P0DT0H0M0S", timedelta()),
        ("-PT1M", -timedelta(minutes=1)),
    ],
)
def test_spellings_that_windows_uses(text: str, moment: datetime | timedelta) -> None:
    assert parse_datetime(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1M",
        "now",
        "20130211******.000000+000",
        "20131311141904.500000+060",
        "2013-02-30T00:00:00Z",
        "00000001020304.000005+000 x",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_datetime(text)


def test_a_time_without_an_offset_is_utc() -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 (what is tested)
    assert format_datetime(naive) == "20260102030405.000000+000"
    assert format_iso(naive) == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("interval", [-timedelta(seconds=1), timedelta(days=10**8)])
def test_an_interval_that_cim_cannot_write_is_refused(interval: timedelta) -> None:
    with pytest.raises(ValueError, match="no CIM interval"):
        format_datetime(interval)
    with pytest.raises(ValueError, match="no CIM interval"):
        format_iso(interval)
