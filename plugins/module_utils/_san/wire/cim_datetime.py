# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM's datetime: the 25 characters of DSP0004 (5.2.4), and the ISO 8601 that WS-Management carries (DSP0230)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Union

Moment = Union[datetime, timedelta]
"""A point in time with its offset from UTC, or an interval."""

_POINT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{6})([+-])(\d{3})")
_INTERVAL = re.compile(r"(\d{8})(\d\d)(\d\d)(\d\d)\.(\d{6}):000")
_ISO_POINT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d):(\d\d))?")
_ISO_INTERVAL = re.compile(r"(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?")
_MAX_DAYS = 10**8


def parse_datetime(text: str) -> Moment:
    """The moment in either spelling. Fractions of a microsecond are cut off. Raises `ValueError`, also for CIM's wildcards."""
    text = text.strip()
    for pattern, read in ((_POINT, _point), (_INTERVAL, _interval), (_ISO_POINT, _iso_point), (_ISO_INTERVAL, _iso_interval)):
        found = pattern.fullmatch(text)
        if found:
            return read(*found.groups())
    raise ValueError(f"'{text}' is no CIM datetime")


def format_datetime(moment: Moment) -> str:
    """The 25 characters. A time without an offset is taken as UTC. Raises `ValueError` for an interval that has none."""
    if isinstance(moment, timedelta):
        days, clock, microseconds = _parts(moment)
        return f"{days:08d}{clock[0]:02d}{clock[1]:02d}{clock[2]:02d}.{microseconds:06d}:000"
    offset = (moment.utcoffset() or timedelta()) // timedelta(minutes=1)
    return f"{moment.year:04d}{moment:%m%d%H%M%S}.{moment.microsecond:06d}{'-' if offset < 0 else '+'}{abs(offset):03d}"


def format_iso(moment: Moment) -> str:
    """ISO 8601 as DSP0230 has it. A time without an offset is taken as UTC. Raises `ValueError` for an interval that has none."""
    if isinstance(moment, timedelta):
        days, clock, microseconds = _parts(moment)
        return f"P{days}DT{clock[0]}H{clock[1]}M{clock[2]}.{microseconds:06d}S"
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).isoformat()


def _parts(interval: timedelta) -> tuple[int, tuple[int, int, int], int]:
    if not timedelta() <= interval < timedelta(days=_MAX_DAYS):
        raise ValueError(f"{interval} is no CIM interval")
    minutes, seconds = divmod(interval.seconds, 60)
    return interval.days, (minutes // 60, minutes % 60, seconds), interval.microseconds


def _point(*parts: str) -> datetime:
    zone = timezone(timedelta(minutes=int(parts[7] + parts[8])))
    return datetime(*map(int, parts[:7]), tzinfo=zone)  # type: ignore[misc,arg-type]  # seven numbers, which mypy cannot count


def _interval(days: str, hours: str, minutes: str, seconds: str, microseconds: str) -> timedelta:
    return timedelta(int(days), int(seconds), int(microseconds), 0, int(minutes), int(hours))


def _iso_point(*parts: str | None) -> datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts[:6])
    sign, hours, minutes = parts[7:]
    zone = timezone(timedelta(minutes=int(f"{sign}1") * (int(hours or 0) * 60 + int(minutes or 0)))) if sign else timezone.utc
    return datetime(year, month, day, hour, minute, second, _microseconds(parts[6]), zone)


def _iso_interval(sign: str | None, *parts: str | None) -> timedelta:
    if all(part is None for part in parts):
        raise ValueError("an ISO 8601 duration without a part is none")
    days, hours, minutes, seconds = (int(part or 0) for part in parts[:4])
    interval = timedelta(days, seconds, _microseconds(parts[4]), 0, minutes, hours)
    return -interval if sign else interval


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0")[:6])
