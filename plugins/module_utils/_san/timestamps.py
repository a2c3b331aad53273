# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as people and systems write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_ISO_8601 = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?(?:(?P<utc>Z)|(?P<hours>[+-]\d{2}):?(?P<minutes>\d{2}))",
    re.IGNORECASE | re.ASCII,
)
_AFTER = re.compile(r"(?P<count>\d{1,6})\s*(?P<unit>[mhdw])", re.IGNORECASE | re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse(text: str) -> datetime:
    """The point in time that a text of ISO 8601 with its zone names, in UTC. Raises `InvalidInput`."""
    match = _ISO_8601.fullmatch(text.strip())
    try:
        if match:
            zone = "+00:00" if match["utc"] else f"{match['hours']}:{match['minutes']}"
            return datetime.fromisoformat(f"{match['day']}T{match['time']}{zone}").astimezone(timezone.utc)
    except (OverflowError, ValueError):
        pass
    raise InvalidInput(f"'{text}' is not a point in time: write date, time and zone, such as 2027-01-31T18:00:00+00:00.")


def written(moment: datetime) -> str:
    """The point in time in UTC, to the second."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def now() -> datetime:
    """This moment."""
    return datetime.now(timezone.utc)


def in_future(text: str) -> str:
    """The point in time that a text names, by itself or as a time from now such as `12h`, `7d` or `4w`. Raises `InvalidInput`."""
    after = _AFTER.fullmatch(text.strip())
    moment = now() + int(after["count"]) * _UNITS[after["unit"].lower()] if after else parse(text)
    if moment <= now():
        raise InvalidInput(f"'{text}' is over already: give a later point in time, or a time from now such as 7d.")
    return written(moment)


def is_relative(text: str) -> bool:
    """Tell whether a text names a time from now, which is another point in time whenever it is read."""
    return _AFTER.fullmatch(text.strip()) is not None
