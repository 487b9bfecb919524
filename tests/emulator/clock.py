# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The emulator's clock: real UTC time plus an offset that tests move. It can run faster than real time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """Real time plus an offset; every time the emulator shows or compares comes from here.

    :param start: what the clock shows when it is made (aware datetime), or None for real time.
    :param rate: so many times faster than real time it runs from then on.
    """

    def __init__(self, start: datetime | None = None, rate: float = 1.0) -> None:
        self._began = datetime.now(timezone.utc)  # since when the rate holds, in real time
        self._initial = timedelta(0) if start is None else start - self._began
        self._offset = self._initial
        self._initial_rate = self._rate = _checked(rate)

    def now(self) -> datetime:
        """The emulator's present as an aware UTC datetime."""
        real = datetime.now(timezone.utc)
        return real + self._offset + (real - self._began) * (self._rate - 1)

    @property
    def rate(self) -> float:
        """How many times faster than real time the clock runs. A change makes no leap. Raises ValueError below 0."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        rate = _checked(rate)
        real = datetime.now(timezone.utc)
        self._offset += (real - self._began) * (self._rate - 1)
        self._began, self._rate = real, rate

    def advance(self, seconds: float) -> None:
        """Move the present by so many seconds (negative goes back)."""
        self._offset += timedelta(seconds=seconds)

    def reset(self) -> None:
        """Forget all advances and changes of the rate, and the time gained by it."""
        self._began = datetime.now(timezone.utc)
        self._offset = self._initial
        self._rate = self._initial_rate


def _checked(rate: float) -> float:
    if not 0 <= rate < 1e6:
        raise ValueError(f"a clock cannot run at a rate of {rate}")
    return float(rate)


def parse_time(value: str) -> datetime:
    """Read ISO 8601 text as an aware UTC datetime: date only or date and time, any number of fraction digits.

    Text without a zone is UTC (docs/evidence.md, "Query service"). ``datetime.fromisoformat`` of Python 3.10 wants exactly 3 or 6
    fraction digits, hence the padding. Raises ValueError.
    """
    text = value.strip().upper()
    if text.endswith("Z"):
        text = text[:-1] + "+00:00"
    head, dot, tail = text.partition(".")
    if dot:
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        text = head + "." + digits[:6].ljust(6, "0") + tail[len(digits) :]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


def format_time(moment: datetime, digits: int = 6, extra: str = "") -> str:
    """Write a UTC time as EM does: with ``Z``, fraction only when there is one, trailing zeros cut (docs/evidence.md, "Date and time").

    :param digits: how many fraction digits to show, at most 6.
    :param extra: further digits, put after a fraction: version 13 shows more of them than Python keeps.
    """
    text = moment.isoformat()[: -len("+00:00")]
    whole, dummy, fraction = text.partition(".")
    fraction = (fraction and fraction[:digits] + extra).rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"
