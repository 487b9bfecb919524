# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times, ages and durations: as EM writes them, as users give them, as facts and sentences show them.

Source: docs/evidence.md, "Date and time".
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
"""Seconds of each unit that users may give."""

TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?!24)\d\d:\d\d)(:\d\d)?(?:[.,](\d+))? ?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
AGE = re.compile(r"(\d{1,6})\s*([smhdw])", re.IGNORECASE | re.ASCII)
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_SECONDS = re.compile(rf"\s*{_NUMBER}\s*", re.ASCII)
_DURATION = re.compile("".join(rf"(?:\s*{_NUMBER}\s*{unit})?" for unit in UNITS) + r"\s*", re.IGNORECASE | re.ASCII)


def utc_now() -> datetime:
    """The time on this machine, naive UTC as all times here."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def parse_time(value: str | None) -> datetime | None:
    """A time as EM writes it (``2015-12-07T17:38:16Z``, 0 to 8 fraction digits), as naive UTC.

    A value without zone is read as UTC. None for missing or unreadable text, and for years before 1971 and from 9999
    on, which mean "never".
    """
    match = TIME.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    date, minutes, seconds, fraction, zone = match.groups()
    try:
        when = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}.{((fraction or '') + '000000')[:6]}")
        if not 1970 < when.year < 9999:
            return None
        if zone and zone not in "Zz":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
            when = when - offset if zone[0] == "+" else when + offset
    except (ValueError, OverflowError):
        return None
    return when


def parse_zoned_time(value: str) -> datetime | None:
    """A time that a user gives, as naive UTC. None if it is none, or without a zone."""
    match = TIME.fullmatch(value)
    return parse_time(value) if match and match["zone"] else None


def format_time(when: datetime | None) -> str | None:
    """The one format of times in facts: UTC, six digits, ``Z``. It sorts as text."""
    return None if when is None else when.isoformat("T", "microseconds") + "Z"


def parse_age(value: str) -> timedelta | None:
    """An age such as ``90m`` or ``7d``, or None if it is none."""
    match = AGE.fullmatch(value.strip())
    return timedelta(seconds=int(match.group(1)) * UNITS[match.group(2).lower()]) if match else None


def parse_duration(value: object) -> float | None:
    """The seconds that a duration means: a number, or a text such as ``900``, ``15m``, ``1h30m``, ``2d``.

    None if it is no duration, or none longer than 0.
    """
    seconds = math.nan
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        plain = _SECONDS.fullmatch(value)
        if plain:
            seconds = float(plain[1])
        elif match:
            seconds = sum(float(count or 0) * unit for count, unit in zip(match.groups(), UNITS.values()))
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12:
        seconds = float(value)
    return round(seconds, 6) if seconds >= 1e-6 else None


def format_duration(seconds: float | None, digits: int | None = None) -> str:
    """A duration for people: ``18 min 12 s``, ``2 h``, ``1 d 4 h 30 min``, ``4.5 s``.

    :arg seconds: negative ones get a minus sign, None is "unknown".
    :arg digits: fraction digits of the seconds. By default one if it is less than ten seconds, else none.
    """
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if digits is None:
        digits = 1 if abs(seconds) < 9.95 else 0
    rest = round(abs(seconds), digits)
    sign = "-" if seconds < 0 and rest else ""
    parts = []
    for unit in ("d", "h", "min"):
        count, rest = divmod(rest, UNITS[unit[0]])
        parts += [f"{count:.0f} {unit}"] if count else []
    last = f"{rest:.{digits}f}"
    last = last.rstrip("0").rstrip(".") if "." in last else last
    parts += [f"{last} s"] if last != "0" or not parts else []
    return sign + " ".join(parts)


def distinct_durations(one: float, other: float) -> tuple[str, str]:
    """Both durations for people, with as many digits as it takes to see that they differ."""
    for digits in (None, 1, 3, 6):
        texts = format_duration(one, digits), format_duration(other, digits)
        if texts[0] != texts[1]:
            break
    return texts
