# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send an action to EM, once, and follow EM's task for it: its state, whether it succeeded, and the session that it links to.

Source: docs/evidence.md, "Tasks of EM". They are not the tasks of a session, which are its VMs.
"""

from __future__ import annotations

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import (
    CHECK_EM,
    EmError,
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
    EmRefusedError,
    EmServerError,
    Operation,
)
from . import clock
from .facts import TaskFacts
from .permissions import task_operation

MAX_NOT_FOUND = 3
"""How often in a row EM may not know its own task: right after it was created that is transient (seen)."""
MAX_UNREADABLE = 120.0
"""Seconds for which only the task cannot be read, before it counts as lost: EM may answer "unknown task" with any error."""
NO_TASK: TaskFacts = {"state": None, "success": None, "message": None}


def post_action(
    client: EnterpriseManager, path: str, operation: Operation, body: bytes = b""
) -> tuple[EmTask | None, EmError | None]:
    """Send an action to EM, once.

    :returns: EM's task, or what was wrong with EM's reply: it may have acted all the same.
    :raises EmError: EM has refused it.
    """
    try:
        document = client.post(path, operation, body)
    except EmError as exc:
        if not exc.in_doubt:
            raise
        return None, exc
    task = document.items[0] if document.root == "Task" else {}
    number = xml.text(task, "TaskId")
    href = xml.text(task, "Href") or (f"/api/tasks/{number}" if number else None)
    if href:
        return EmTask(client, operation.name, client.on_base_url(path), task, href), None
    problem = f"answered with a document {client.redact(document.root)} that is not a task"
    return None, EmProtocolError(operation, client.on_base_url(path), problem, CHECK_EM, 200)


class EmTask:
    """EM's task for one action of this logon. It cannot be read under another logon, which has tasks of its own.

    :arg operation: what is being done, for the sentence of an error ("Test of plan Acme").
    :arg url: that of the action.
    :arg path: that of the task.
    :ivar facts: ``state``, ``success`` and ``message``, each None where it is not known.
    :ivar session_id: of the session that the task links to, or None.
    """

    def __init__(self, client: EnterpriseManager, operation: str, url: str, task: xml.Entity, path: str) -> None:
        self._client = client
        self._operation = operation
        self._url = url
        self._logon = client.logons
        self._path = path
        self._not_found = 0
        self._unreadable_since: float | None = None
        self.facts = NO_TASK.copy()
        self.session_id: str | None = None
        self._keep(task)

    @property
    def finished(self) -> bool:
        """Whether EM calls it finished. ``OperationFinished`` is not: EM's own database is not refreshed yet then."""
        return self.facts["state"] == "Finished"

    @property
    def lost(self) -> bool:
        """Whether nothing more can be learned from it: EM does not know it, or the logon has ended."""
        since = self._unreadable_since
        unreadable = since is not None and clock.monotonic() - since >= MAX_UNREADABLE
        other_logon = self._client.logons != self._logon
        return not self.finished and (other_logon or self._not_found >= MAX_NOT_FOUND or unreadable)

    @property
    def running(self) -> bool:
        """Whether nothing else may decide: EM has not finished it, and can still say how it ends."""
        return not self.finished and not self.lost

    def check(self, hint: str) -> None:
        """Check what is known of it.

        :raises EmRefusedError: it failed.
        """
        if self.facts["success"] is False:
            message = self.facts["message"] or "no reason"
            problem = f"accepted the request, but the task failed: '{message}'"
            raise EmRefusedError(self._operation, self._url, problem, hint, None, message)

    def refresh(self) -> None:
        """Read it again, as long as that can bring something new: also a finished one that lacks the link."""
        if self._client.logons != self._logon or (self.finished and self.session_id):
            return
        try:
            document = self._client.get(self._path, task_operation(f"{self._operation}: read its task"))
        except (EmNotFoundError, EmServerError, EmProtocolError, EmPermissionError) as exc:
            self._not_read(isinstance(exc, EmNotFoundError))
            return
        if self._client.logons != self._logon:
            return  # this is a task of the new logon, which has other tasks
        if document.root != "Task" or not document.items:
            self._not_read(False)
            return
        self._not_found = 0
        self._unreadable_since = None
        self._keep(document.items[0])

    def _not_read(self, not_found: bool) -> None:
        """The sessions could just be read, so EM is well and does not know its task, be it with 404 or with 500."""
        self._not_found += not_found
        if self._unreadable_since is None:
            self._unreadable_since = clock.monotonic()

    def _keep(self, task: xml.Entity) -> None:
        result = next(iter(xml.objects(task, "Result")), {})
        success = xml.flag(xml.text(result, "Success"))
        if xml.flag(xml.text(result, "CredentialsNeeded")) or xml.flag(xml.text(result, "ConfirmationNeeded")):
            success = False  # nobody is there to give them
        message = self._client.redact(xml.text(result, "Message") or "") or None
        self.facts = {"state": xml.text(task, "State"), "success": success, "message": message}
        for link in xml.links(task):
            href = xml.text(link, "Href") or ""
            if link.get("Rel") == "Related" and "/failoversessions/" in href.lower():
                self.session_id = xml.guid(href)
