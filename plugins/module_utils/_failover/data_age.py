# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How old EM's copy of its backup servers' data is, by the data collection jobs that it lists.

Source: docs/evidence.md, "Age of EM's data".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, TypedDict

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmError, EmNotFoundError, EmPermissionError, EmProtocolError, EmStaleError, OptionError
from .._api.query import is_refusal
from .._api.resource import read_list
from .permissions import READ_SYSTEM_SESSIONS
from .times import format_duration, format_time, parse_age, parse_time

SYSTEM_SESSIONS = "/api/systemSessions"
IN_PROGRESS, SUCCESS, WARNING, FAILED = "InProgress", "CompletedSuccessfully", "CompletedWarning", "Failed"

_OPERATION = "Read the age of EM's data"
SEVERITY = (SUCCESS, WARNING, FAILED)
_INNER = {"Warning": WARNING, WARNING: WARNING, FAILED: FAILED}
"""Words of the inner result that contradict a success. Veeam's table and its sample differ in all of them."""
_WHOLE_SECOND = 1.0
"""EM's clock is read from a header with whole seconds, so a job of this second seems to be ahead of it."""


class DataAge(TypedDict):
    """When EM started to collect the data that it shows, and how many seconds that was ago, both by EM's clock."""

    collected_at: str
    seconds: float


class CollectJob(NamedTuple):
    """A data collection job.

    :ivar id: its GUID.
    :ivar started: by EM's clock, naive UTC.
    :ivar state: EM's word, or None. Where its inner result contradicts it, the worse one.
    :ivar message: EM's own words about the result, or None.
    """

    id: str
    started: datetime
    state: str | None
    message: str | None


def max_age(value: str | None) -> timedelta | None:
    """The option ``max_data_age``, or None if it is not set.

    :raises OptionError: it is no age.
    """
    age = parse_age(value) if value else None
    if value and not age:
        raise OptionError("max_data_age", value, "Give an age such as 20m, 2h or 1d.")
    return age


def list_collect_jobs(client: EnterpriseManager) -> list[CollectJob]:
    """The data collection jobs that EM lists, of those that say when they started. EM lists 30 days (documented).

    :raises EmError: they cannot be read.
    """
    document = read_list(client, SYSTEM_SESSIONS, READ_SYSTEM_SESSIONS, "system sessions")
    jobs = [item for item in document.items if xml.text(item, "SessionType") == "CollectJob"]
    return [
        CollectJob(xml.identity(job), started, *_outcome(job))
        for job in jobs
        if (started := parse_time(xml.text(job, "CreationTimeUTC")))
    ]


def _outcome(job: xml.Entity) -> tuple[str | None, str | None]:
    """The state of a job, and what its result says."""
    state = xml.text(job, "State")
    result = next(iter(xml.objects(job, "Result")), {})
    inner = FAILED if xml.flag(xml.text(result, "IsCanceled")) else _INNER.get(xml.text(result, "Result") or "")
    if inner and state in SEVERITY:
        state = max(state, inner, key=SEVERITY.index)
    return state, xml.text(result, "Message")


class DataAgeReader:
    """Reads how old the data of one EM are. Use it before what is to be judged by it is read."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    def read(self, limit: timedelta | None = None) -> DataAge | None:
        """The age of EM's data. None, with a warning that says why, if it is not known.

        :arg limit: the data must not be older than this.
        :raises EmStaleError: there is a limit, and the data is older, or it is not known how old it is.
        :raises EmError: EM could not be reached, or failed.
        """
        try:
            age = self._age()
        except EmStaleError as exc:
            if limit:
                raise
            self._client.warn(str(exc))
            return None
        if limit and age["seconds"] > limit.total_seconds():
            shown = format_duration(age["seconds"], 0)
            problem = f"shows data that is {shown} old (collected at {age['collected_at']})"
            problem += f", and max_data_age allows {format_duration(limit.total_seconds())}"
            hint = (
                "Collect data now with the module data_collection, or have EM collect more often "
                "(Configuration, Backup Servers, Schedule)."
            )
            raise self._stale(problem, hint)
        return age

    def _age(self) -> DataAge:
        """The age of EM's data.

        :raises EmStaleError: it is not known.
        """
        try:
            jobs = list_collect_jobs(self._client)
        except EmError as exc:
            if not (isinstance(exc, (EmPermissionError, EmNotFoundError, EmProtocolError)) or is_refusal(exc)):
                raise
            hint = "EM's list of its own jobs is needed for it, which this server does not give."
            if isinstance(exc, EmPermissionError):
                hint = READ_SYSTEM_SESSIONS.role_hint.format(user=self._client.username)
            raise self._stale(f"does not show it: it {exc.problem.partition(' ')[2]}", hint, exc) from None
        now = self._client.server_time
        if now is None:
            hint = "Check whether a proxy removes that header; the clock of this machine is never used instead."
            raise self._stale("does not show what its clock says (no header Date), so it is unknown", hint)
        done = [job.started for job in jobs if job.state == SUCCESS]
        if not done:
            problem = "lists no data collection job that completed successfully, so it is unknown"
            hint = (
                "Check the jobs in EM (Configuration, Sessions), or collect data now with the module data_collection."
            )
            raise self._stale(problem, hint)
        newest = max(done)
        seconds = (now - newest).total_seconds()
        if seconds <= -_WHOLE_SECOND:
            problem = f"lists a data collection job of {format_time(newest)}, but its clock says {format_time(now)}"
            raise self._stale(f"{problem}, so it is unknown", "Check the clock of the EM server.")
        return {"collected_at": format_time(newest) or "", "seconds": max(0.0, seconds)}

    def _stale(self, problem: str, hint: str, cause: EmError | None = None) -> EmStaleError:
        url = self._client.on_base_url(SYSTEM_SESSIONS)
        status, message = (cause.status, cause.server_message) if cause else (None, None)
        return EmStaleError(_OPERATION, url, problem, hint, status, message)
