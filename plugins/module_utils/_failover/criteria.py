# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sessions and plans are wanted: options, checked and ready to filter with and to compare with facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._api.errors import OptionError
from .._api.filters import all_of, all_that_fit, any_of, one_of, quoted
from .._api.ids import GUID
from .._api.options import HIDDEN, check_text
from .facts import RESULTS, STATES, Plan, Reference, Session, last_time
from .times import format_time, parse_age, parse_zoned_time, utc_now

SORT_ORDERS = ("descending", "ascending")
MAX_PAGE_SIZE = 1000

_SESSION_ID = re.compile(
    rf"(?:urn:veeam:\w*Session\w*:|\S*/failoverSessions/)?({GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE
)
_PLAN_ID = re.compile(rf"(?:urn:veeam:\w*Plan\w*:|\S*/cloudFailoverPlans/)?({GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE)

_SESSION_ID_ACCEPTED = (
    "Give the id of a session as GUID (475420ee-d045-4493-9869-0a970e08f6f9), as URN (urn:veeam:CloudFailoverSession:<GUID>) "
    "or as Href (https://em.example.com:9398/api/cloud/failoverSessions/<GUID>)."
)
_PLAN_ID_ACCEPTED = "Give the id of a plan as GUID, as URN (urn:veeam:CloudFailoverPlan:<GUID>) or as Href."


# SessionCriteria


@dataclass(frozen=True)
class SessionCriteria:
    """What to select, checked and ready to use. Make it with :meth:`from_options`.

    Times are texts as in facts (see :func:`format_time`); "after" is inclusive, "before" exclusive.
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
    """Not finished, or created or ended at this time or later. Not an option; for those who poll."""

    @classmethod
    def from_options(cls, option: Callable[[str], Any], now: datetime | None = None) -> SessionCriteria:
        """Check the options of the documentation fragment ``_session_criteria`` and make them a :class:`SessionCriteria`.

        Ansible has checked ``choices``.

        :arg option: gives the value of the option with that name, None where it is not set.
        :arg now: the time ages count from, naive UTC; read once per run.
        :raises OptionError: names the option and what would be accepted.
        """
        now = now or utc_now()
        limit = option("limit")
        if limit is not None and limit < 1:
            raise OptionError("limit", limit, "Give a whole number, 1 or more, or leave it out for all sessions.")
        page_size = option("page_size")
        if page_size is None:
            page_size = cls.page_size
        if not 1 <= page_size <= MAX_PAGE_SIZE:
            raise OptionError("page_size", page_size, f"Give a whole number from 1 to {MAX_PAGE_SIZE}.")
        bounds = {
            name: time_bound(name, option(name), now)
            for name in ("created_after", "created_before", "ended_after", "ended_before")
        }
        for event in ("created", "ended"):
            after, before = bounds[f"{event}_after"], bounds[f"{event}_before"]
            if after and before and after >= before:
                accepted = f"Give a time before {event}_before, which is {before}; no session can be between the two."
                raise OptionError(f"{event}_after", option(f"{event}_after"), accepted)
        return cls(
            now=now,
            ids=_ids(_given(option, "id"), _SESSION_ID, _SESSION_ID_ACCEPTED),
            names=_texts(option, "name"),
            states=_texts(option, "state"),
            results=_texts(option, "result"),
            backup_servers=_texts(option, "backup_server"),
            latest_per_plan=bool(option("latest_per_plan")),
            descending=option("sort_order") != "ascending",
            limit=limit,
            page_size=page_size,
            **bounds,
        )

    def matches(self, session: Session) -> bool:
        """Whether all criteria about one session by itself hold for it (all but ``latest_per_plan`` and ``limit``).

        What EM has filtered is compared again: EM drops spaces in unquoted values, its case rules are unknown, and it
        may have refused the filter.
        """
        return (
            (self.ids is None or session["id"] in self.ids)
            and (self.names is None or session["name"] in self.names)
            and (self.states is None or session["state"] in self.states)
            and (self.results is None or session["result"] in self.results)
            and _has_name(session["backup_server"], self.backup_servers)
            and _within(session["creation_time"], self.created_after, self.created_before)
            and _within(session["end_time"], self.ended_after, self.ended_before)
            and (self.active_since is None or not session["finished"] or last_time(session) >= self.active_since)
        )

    def to_filter(self, base_url: str, whole_plans: bool = False) -> str | None:
        """The filter expression for what EM can filter, or None for all. It may let through too much, never too little.

        :arg base_url: the URL that the filter must fit into.
        :arg whole_plans: leave out what would hide the newest session of a plan.
        """
        terms = [
            *one_of("Name", self.names),
            *one_of("BackupServerName", self.backup_servers),
            *_time_is("CreationTime", ">=", self.created_after),
        ]
        if not whole_plans:
            terms += [
                *_time_is("CreationTime", "<=", self.created_before),
                *_time_is("EndTime", ">=", self.ended_after),
                *_time_is("EndTime", "<=", self.ended_before),
                *_has_state(self.states),
                *_has_result(self.results),
                *_is_active_since(self.active_since),
            ]
        return all_that_fit(base_url, terms)

    @property
    def unstable(self) -> bool:
        """Whether sessions can drop out of the filter while they are read, as those that end and so no longer run."""
        return bool((self.states or frozenset()) - {"Stopped"} or "None" in (self.results or ()))


def _time_is(field: str, operator: str, bound: str | None) -> list[str]:
    """In whole seconds and a second wider than the bound, since EM's database may round. The exact check follows."""
    if bound is None:
        return []
    second = datetime.fromisoformat(bound[:19]) + timedelta(seconds=-1 if operator == ">=" else 2)
    return [quoted(field, operator, f"{second.isoformat()}Z")]


def _is_active_since(bound: str | None) -> list[str]:
    """All three, since EM may give no end, and a run that has ended would drop out of what runs."""
    if bound is None:
        return []
    times = [*_time_is("CreationTime", ">=", bound), *_time_is("EndTime", ">=", bound)]
    return [any_of(["State!=Stopped", *times])]


def _has_state(states: frozenset[str] | None) -> list[str]:
    return [] if states is None else [any_of([f"State=={word}" for word in STATES if word in states])]


def _has_result(results: frozenset[str] | None) -> list[str]:
    """``None`` is documented nowhere as a word for filters, so it is asked for by what it is not, or by the state."""
    if results is None or len(results) == len(RESULTS):
        return []
    if "None" not in results:
        return [any_of([f"Result=={word}" for word in RESULTS if word in results])]
    others = [f"Result!={word}" for word in RESULTS[1:] if word not in results]
    return [any_of([all_of(others), "State!=Stopped"])]


# PlanCriteria


@dataclass(frozen=True)
class PlanCriteria:
    """Which plans to select. Make it with :meth:`from_options`."""

    ids: tuple[str, ...] | None = None
    names: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    backup_servers: frozenset[str] | None = None

    @classmethod
    def from_options(cls, option: Callable[[str], Any]) -> PlanCriteria:
        """Check the options of failover_plan_info.

        :arg option: gives the value of the option with that name, None where it is not set.
        :raises OptionError: names the option and what would be accepted.
        """
        return cls(
            ids=_ids(_given(option, "id"), _PLAN_ID, _PLAN_ID_ACCEPTED),
            names=_texts(option, "name"),
            tenants=_texts(option, "tenant"),
            backup_servers=_texts(option, "backup_server"),
        )

    def matches(self, plan: Plan) -> bool:
        """Whether all criteria hold for a plan; its VMs do not matter."""
        return (
            (self.ids is None or plan["id"] in self.ids)
            and (self.names is None or plan["name"] in self.names)
            and _has_name(plan["tenant"], self.tenants)
            and _has_name(plan["backup_server"], self.backup_servers)
        )

    def to_filter(self, base_url: str) -> str | None:
        """As :meth:`SessionCriteria.to_filter`."""
        terms = [
            *one_of("Name", self.names),
            *one_of("CloudTenantName", self.tenants),
            *one_of("BackupServerName", self.backup_servers),
        ]
        return all_that_fit(base_url, terms)


def _has_name(reference: Reference | None, names: Collection[str] | None) -> bool:
    return names is None or (reference is not None and reference["name"] in names)


# Values of options


def guid_of_session(value: object) -> str | None:
    """The GUID, in lower case, of a session given as GUID, URN or Href, or None if it is none of these."""
    return _guid(_SESSION_ID, value)


def guid_of_plan(value: object) -> str | None:
    """As :func:`guid_of_session`, of a plan."""
    return _guid(_PLAN_ID, value)


def _guid(pattern: re.Pattern[str], value: object) -> str | None:
    match = pattern.fullmatch(value.strip()) if isinstance(value, str) else None
    return match.group(1).lower() if match else None


def _ids(values: list[str] | None, pattern: re.Pattern[str], accepted: str) -> tuple[str, ...] | None:
    """The GUIDs of these ids, each once."""
    for value in values or ():
        if _guid(pattern, value) is None:
            raise OptionError("id", value, accepted)
    return None if values is None else tuple(dict.fromkeys(guid for value in values if (guid := _guid(pattern, value))))


def _given(option: Callable[[str], Any], name: str) -> list[str] | None:
    values: list[str] | None = option(name)
    if values == []:
        # Reading it as "all" would answer a runbook that computed no ids with everything there is.
        accepted = "An empty list selects nothing; leave the option out to select all."
        raise OptionError(name, values, accepted)
    return values


def _texts(option: Callable[[str], Any], name: str) -> frozenset[str] | None:
    values: Any = _given(option, name)
    if values is None:
        return None
    if not isinstance(values, list):
        values = [values]  # not split at commas, since names may contain them
    for value in values:
        _check_name(name, value)
    return frozenset(str(value) for value in values)


def without_alias(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by their own names: ``plan`` is another one of ``name``. In modules, ansible-core does this.

    :raises OptionError: both are given.
    """
    if "plan" in options and "name" in options:
        raise OptionError("plan", HIDDEN, "It is another name of the option name. Give one of the two.")
    return {"name" if name == "plan" else name: value for name, value in options.items()}


def check_names(options: Mapping[str, Any]) -> None:
    """Refuse what cannot be the name of a plan, a tenant or a backup server, where these options hold one name each.

    :raises OptionError: one of them is empty, or no text.
    """
    for name in ("plan", "tenant", "backup_server"):
        if options.get(name) is not None:
            _check_name(name, options[name])


def _check_name(option: str, value: Any) -> None:
    check_text(option, value)
    if not value.strip():
        raise OptionError(option, value, "Give a name, or leave the option out.")


def time_bound(name: str, value: str | None, now: datetime) -> str | None:
    """A time or age given by the user, as text that compares with facts."""
    if value is None:
        return None
    ago = parse_age(value)
    try:
        if ago is not None:
            return format_time(now - ago)
    except OverflowError:
        pass
    when = parse_zoned_time(value.strip())
    if when is None:
        accepted = (
            "Give a time after 1970 in ISO 8601 with zone, in quotes ('2026-03-01T00:00:00Z'), "
            "or an age in s, m, h, d or w (90m, 24h, 7d)."
        )
        raise OptionError(name, value, accepted)
    return format_time(when)


def _within(value: str | None, after: str | None, before: str | None) -> bool:
    if after is None and before is None:
        return True
    return value is not None and (after is None or value >= after) and (before is None or value < before)
