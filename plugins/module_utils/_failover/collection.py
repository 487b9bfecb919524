# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have EM collect data from its backup servers, and wait for the data collection job of each request.

EM's task only says that a collection has started, and a job has no link to the request. So the job is the one that EM
did not list before, and that started after the request by EM's clock. Source: docs/evidence.md, "Age of EM's data".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmError, EmInDoubtError, EmNotFoundError, EmRunFailedError, EmWaitError
from .._api.interrupts import Interrupted
from .._api.redaction import some_of
from .._api.resource import read_list
from .data_age import IN_PROGRESS, SUCCESS, WARNING, CollectJob, list_collect_jobs
from .em_task import EmTask, post_action
from .facts import Reference
from .names import did_you_mean
from .permissions import READ_BACKUP_SERVERS, collect_operation
from .times import format_time
from .waiter import Poller, at_the_end

BACKUP_SERVERS = "/api/backupServers"
MAX_LISTED = 5
"""Maximum number of names in a sentence."""

_HARMLESS = "Collecting again is harmless."


def find_backup_servers(client: EnterpriseManager, names: Collection[str] | None) -> list[Reference]:
    """The backup servers with these names, or all.

    :raises EmNotFoundError: there is none of that name, or none at all.
    :raises EmError: they cannot be read.
    """
    items = read_list(client, BACKUP_SERVERS, READ_BACKUP_SERVERS, "backup servers").items
    servers: list[Reference] = [{"id": xml.identity(item), "name": xml.text(item, "Name")} for item in items]
    known = [server["name"] or "" for server in servers]
    missing = sorted(set(names or ()) - set(known))
    if missing or not servers:
        problem, hint = "has no backup servers", "Add one in Enterprise Manager (Configuration, Backup Servers)."
        if missing:
            problem = f"has no backup server named '{missing[0]}'"
            hint = did_you_mean(missing[0], dict.fromkeys(known, "")) or "Check backup_server."
            hint += f" EM has {some_of(known, MAX_LISTED) or 'none'}."
        url = client.on_base_url(BACKUP_SERVERS)
        raise EmNotFoundError("", url, client.redact(problem), client.redact(hint))
    return [server for server in servers if names is None or server["name"] in names]


@dataclass
class DataCollection:
    """The collection of data from one backup server.

    :ivar submitted: whether the request was sent to EM, which may have carried it out.
    """

    client: EnterpriseManager
    server: Reference
    submitted: bool = False
    _task: EmTask | None = None
    _reply_error: EmError | None = None
    _before: frozenset[str] = frozenset()
    _since: datetime | None = None

    @property
    def operation(self) -> str:
        return f"Data collection from backup server {self.client.redact(self.server['name'] or '')}"

    @property
    def _path(self) -> str:
        return f"{BACKUP_SERVERS}/{self.server['id']}?action=collect"

    @property
    def _url(self) -> str:
        return self.client.on_base_url(self._path)

    def collect(self, poller: Poller | None, seconds: float) -> CollectJob | None:
        """Send the request to EM, once, and wait for its data collection job.

        :arg poller: of the wait; None not to wait. Then None is returned.
        :arg seconds: the time limit of the poller, for sentences.
        :returns: the job, ended with ``CompletedSuccessfully`` or ``CompletedWarning``.
        :raises EmRefusedError: EM's task failed.
        :raises EmRunFailedError: the job failed.
        :raises EmInDoubtError: it is not known whether EM has accepted the request.
        :raises EmWaitError: the job has not ended within the time limit.
        :raises EmError: EM has refused the request, or cannot be read.
        """
        try:
            self._submit(wait=poller is not None)
            return self._wait(poller, seconds) if poller else None
        except KeyboardInterrupt as exc:
            if not self.submitted:
                raise
            sentence = f"{self.operation} may go on in EM. {_HARMLESS}"
            raise Interrupted(f"{str(exc) or 'Interrupted.'} {sentence}") from None

    def _submit(self, wait: bool) -> None:
        if wait:
            self._before = frozenset(job.id for job in list_collect_jobs(self.client))
            self._since = self.client.server_time
        self.submitted = True
        try:
            operation = collect_operation(self.operation)
            self._task, self._reply_error = post_action(self.client, self._path, operation)
        except EmError:
            self.submitted = False
            raise
        self._check_task()
        if self._reply_error and not wait:
            raise self._in_doubt(self._reply_error)
        if self._reply_error:
            self.client.warn(f"{self._reply_error} Looking for the data collection job that it may have started.")

    def _wait(self, poller: Poller, seconds: float) -> CollectJob:
        new: list[CollectJob] = []
        for jobs in poller.poll(self.client, self._read):
            new = [job for job in jobs if self._is_new(job)]
            ended = self._ended(new)
            if ended:
                return self._checked(ended)
        raise self._not_in_time(new, seconds, poller.unavailable)

    def _read(self) -> list[CollectJob]:
        if self._task:
            self._task.refresh()
        self._check_task()
        return list_collect_jobs(self.client)

    def _check_task(self) -> None:
        if self._task:
            self._task.check(
                "Check in EM whether a data collection is running (Configuration, Sessions), and try again later."
            )

    def _is_new(self, job: CollectJob) -> bool:
        # EM's clock is known in whole seconds, so a job of the same second is told apart by its id.
        return job.id not in self._before and (self._since is None or job.started >= self._since)

    @staticmethod
    def _ended(new: list[CollectJob]) -> CollectJob | None:
        """The job that decides: the newest that succeeded, else the newest of all once all have ended."""
        done = [job for job in new if job.state not in (None, IN_PROGRESS)]
        best = [job for job in done if job.state == SUCCESS] or (done if len(done) == len(new) else [])
        return max(best, key=lambda job: job.started, default=None)

    def _checked(self, job: CollectJob) -> CollectJob:
        words = self.client.redact(job.state or "")
        words += f" and the message '{self.client.redact(job.message)}'" if job.message else ""
        if job.state == WARNING:
            self.client.warn(
                f"{self.operation} ended with state {words}. A backup server may have been missed, so max_data_age does not count it. "
                "Check the job in EM (Configuration, Sessions)."
            )
        elif job.state != SUCCESS:
            problem = f"ended its data collection job of {format_time(job.started)} with state {words}"
            hint = "Check the job in EM (Configuration, Sessions), and whether EM reaches its backup servers."
            message = self.client.redact(job.message) if job.message else None
            raise EmRunFailedError(self.operation, self._url, problem, hint, None, message)
        return job

    def _not_in_time(self, new: list[CollectJob], seconds: float, unavailable: str | None) -> EmError:
        if self._reply_error and not new:
            return self._in_doubt(self._reply_error)
        problem = f"showed no data collection job that started after the request within {seconds:g} seconds"
        hint = f"One that was running may have taken the request. {_HARMLESS}"
        if new:
            started, state = format_time(new[-1].started), self.client.redact(new[-1].state or "unknown")
            problem = f"showed the data collection job of {started} in state {state} after {seconds:g} seconds"
            hint = "It goes on in EM; give it more time with wait_timeout. Check it in EM (Configuration, Sessions)."
        return EmWaitError(self.operation, self._url, problem + at_the_end(unavailable), hint, None, unavailable)

    def _in_doubt(self, cause: EmError) -> EmInDoubtError:
        problem = f"may or may not have accepted the request, after this: {cause.problem}"
        status = cause.status if cause.status and cause.status >= 300 else None
        return EmInDoubtError(self.operation, self._url, problem, _HARMLESS, status, cause.server_message)
