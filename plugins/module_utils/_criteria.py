# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Which sessions are wanted: the options of fragment ``_session_criteria``, checked and ready to compare with facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ._errors import OptionError
from ._xml import GUID

Fact = dict[str, Any]

STATES = ("Starting", "Working", "Stopping", "Stopped")
RESULTS = ("None", "Success", "Warning", "Failed")
SORT_ORDERS = ("descending", "ascending")
LARGEST_PAGE = 1000

_ID = re.compile(rf"(?:urn:veeam:\w*Session\w*:|\S*/failoverSessions/)?({GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))? ?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?")
# As EM commonly writes it. Newer versions of Python take hour 24 for 0 of the next day.
_PLAIN_TIME = re.compile(r"(\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d)(?:\.(\d+))?Z", re.ASCII)
_AGE = re.compile(r"(\d{1,6})\s*([smhdw])", re.IGNORECASE | re.ASCII)
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


# Times


def moment(value: str | None) -> datetime | None:
    """A time as EM writes it (``2015-12-07T17:38:16Z``, 0 to 8 fraction digits), as naive UTC.

    A value without zone is read as UTC. None for missing or unreadable text, and for years before 1971 and from 9999
    on, which mean "never" (docs/evidence.md, "Date and time").
    """
    match = _TIME.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    date, minutes, seconds, fraction, zone = match.groups()
    try:
        when = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}.{((fraction or '') + '000000')[:6]}")
        if not 1970 < when.year < 9999:
            return None
        if zone and zone not in "Zz":
            ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
            when = when - ahead if zone[0] == "+" else when + ahead
        return when
    except (ValueError, OverflowError):
        return None


def timestamp(when: datetime | None) -> str | None:
    """The one format of times in facts: UTC, six digits, ``Z``. It sorts as text."""
    return None if when is None else when.isoformat(timespec="microseconds") + "Z"


def moment_and_timestamp(value: str | None) -> tuple[datetime | None, str | None]:
    """:func:`moment` of a text and the :func:`timestamp` of that, in one step for the common form: there are many."""
    match = _PLAIN_TIME.fullmatch(value) if value else None
    if match is None:
        when = moment(value)
        return when, timestamp(when)
    seconds, fraction = match.groups()
    text = f"{seconds}.{((fraction or '') + '000000')[:6]}"
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None, None
    return (when, f"{text}Z") if 1970 < when.year < 9999 else (None, None)


# Criteria


@dataclass(frozen=True)
class Criteria:
    """What to select, checked and ready to use. Make it with :meth:`from_options`.

    Times are texts as in facts (see :func:`timestamp`); "after" is inclusive, "before" exclusive.
    """

    now: datetime
    ids: tuple[str, ...] | None = None
    names: frozenset[str] | None = None
    states: frozenset[str] | None = None
    results: frozenset[str] | None = None
    backup_servers: frozenset[str] | None = None
    created_after: str | None = None
    created_before: str | None = None
    ended_after: str | None = None
    ended_before: str | None = None
    latest_per_plan: bool = False
    descending: bool = True
    limit: int | None = None
    page_size: int = 100
    active_since: str | None = None
    """Not over, or created or ended at this moment or later. No option; for those who look again and again."""

    @classmethod
    def from_options(cls, option: Callable[[str], Any], now: datetime | None = None) -> Criteria:
        """Check the options of the documentation fragment ``_session_criteria`` and make them a :class:`Criteria`.

        :arg option: gives the value of the option with that name, None where it is not set.
        :arg now: the moment ages count from, naive UTC; read once per run.
        :raises OptionError: names the option and what would be accepted.
        """
        now = now or datetime.now(timezone.utc).replace(tzinfo=None)
        limit = option("limit")
        if limit is not None and limit < 1:
            raise OptionError("limit", limit, "Give a whole number, 1 or more, or leave it out for all sessions.")
        page_size = option("page_size")
        if page_size is None:
            page_size = cls.page_size
        if not 1 <= page_size <= LARGEST_PAGE:
            raise OptionError("page_size", page_size, f"Give a whole number from 1 to {LARGEST_PAGE}.")
        order = option("sort_order") or SORT_ORDERS[0]
        if order not in SORT_ORDERS:
            raise OptionError("sort_order", order, f"Give one of: {', '.join(SORT_ORDERS)}.")
        ids = given_values(option, "id")
        bounds = {
            name: time_bound(name, option(name), now)
            for name in ("created_after", "created_before", "ended_after", "ended_before")
        }
        for event in ("created", "ended"):
            after, before = bounds[f"{event}_after"], bounds[f"{event}_before"]
            if after and before and after >= before:
                accepted = f"Give a moment before {event}_before, which is {before}; between the two no session can be."
                raise OptionError(f"{event}_after", option(f"{event}_after"), accepted)
        return cls(
            now=now,
            ids=None if ids is None else tuple(dict.fromkeys(session_id(value) for value in ids)),
            names=name_set(option, "name"),
            states=_words(option, "state", STATES),
            results=_words(option, "result", RESULTS),
            backup_servers=name_set(option, "backup_server"),
            latest_per_plan=bool(option("latest_per_plan")),
            descending=order == "descending",
            limit=limit,
            page_size=page_size,
            **bounds,
        )

    def hold_for(self, fact: Fact) -> bool:
        """Whether all criteria about one session by itself hold for its facts (all but ``latest_per_plan`` and ``limit``)."""
        server = fact["backup_server"]
        return (
            (self.ids is None or fact["id"] in self.ids)
            and (self.names is None or fact["name"] in self.names)
            and (self.states is None or fact["state"] in self.states)
            and (self.results is None or fact["result"] in self.results)
            and (self.backup_servers is None or (server is not None and server["name"] in self.backup_servers))
            and _within(fact["creation_time"], self.created_after, self.created_before)
            and _within(fact["end_time"], self.ended_after, self.ended_before)
            and (self.active_since is None or not fact["finished"] or last_time(fact) >= self.active_since)
        )


def last_time(fact: Fact) -> str:
    """The last moment at which something is known to have happened to a session: its end or else its creation."""
    return max(fact["creation_time"] or "", fact["end_time"] or "")


def session_id(value: str) -> str:
    """The GUID, in lower case, of a session given as GUID, URN or Href.

    :raises OptionError: it is none of these.
    """
    guid = guid_of_session(value)
    if guid is None:
        accepted = (
            "Give the id of a session as GUID (475420ee-d045-4493-9869-0a970e08f6f9), as URN (urn:veeam:CloudFailoverSession:<GUID>) "
            "or as Href (https://em.example.com:9398/api/cloud/failoverSessions/<GUID>)."
        )
        raise OptionError("id", value, accepted)
    return guid


def guid_of_session(value: object) -> str | None:
    """The GUID, in lower case, of a session given as GUID, URN or Href, or None if it is none of these."""
    match = _ID.fullmatch(value.strip()) if isinstance(value, str) else None
    return match.group(1).lower() if match else None


def given_values(option: Callable[[str], Any], name: str) -> list[str] | None:
    values: list[str] | None = option(name)
    if values == []:
        # Reading it as "all" would answer a runbook that computed no ids with everything there is.
        accepted = "An empty list selects nothing; leave the option out to select all."
        raise OptionError(name, values, accepted)
    return values


def name_set(option: Callable[[str], Any], name: str) -> frozenset[str] | None:
    values: Any = given_values(option, name)
    if values is None:
        return None
    if not isinstance(values, list):
        values = [values]  # not split at commas, since names may contain them
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            accepted = "Give a name or a list of names (in quotes); leave the option out to select all."
            raise OptionError(name, value, accepted)
    return frozenset(str(value) for value in values)


def _words(option: Callable[[str], Any], name: str, words: tuple[str, ...]) -> frozenset[str] | None:
    values = given_values(option, name)
    for value in values or ():
        if value not in words:
            raise OptionError(name, value, f"Give one or more of: {', '.join(words)}.")
    return None if values is None else frozenset(values)


def age(value: str) -> timedelta | None:
    """An age such as ``90m`` or ``7d``, or None if it is none."""
    match = _AGE.fullmatch(value.strip())
    return timedelta(**{_AGE_UNITS[match.group(2).lower()]: int(match.group(1))}) if match else None


def time_bound(name: str, value: str | None, now: datetime) -> str | None:
    """A time or age given by the user, as text that compares with facts."""
    if value is None:
        return None
    ago = age(value)
    try:
        if ago is not None:
            return timestamp(now - ago)
    except OverflowError:
        pass
    match = _TIME.fullmatch(value.strip())
    when = moment(value) if match and match["zone"] else None
    if when is None:
        accepted = (
            "Give a time after 1970 in ISO 8601 with zone, in quotes ('2026-03-01T00:00:00Z'), "
            "or an age in s, m, h, d or w (90m, 24h, 7d)."
        )
        raise OptionError(name, value, accepted)
    return timestamp(when)


def _within(value: str | None, after: str | None, before: str | None) -> bool:
    if after is None and before is None:
        return True
    return value is not None and (after is None or value >= after) and (before is None or value < before)
