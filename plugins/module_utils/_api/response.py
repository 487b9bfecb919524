# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A response, and which error its status is."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import (
    CHECK_EM,
    WRONG_SERVICE,
    EmAuthError,
    EmError,
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
    EmServerError,
    Operation,
)
from .options import split_url
from .redaction import MAX_SCANNED, Redactor
from .xml import error_text, is_from_em

with suppress(ImportError):  # transport.py reports it
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

# An object is absent with 404, but also with 400 or 500 and a text like "no cloud failover session with id [...]"
# (docs/evidence.md, "Errors": assumed for sessions, seen for tasks). It must speak of an object: "The server was not
# found or was not accessible" is what a database says that is down.
_OBJECT = r"\b(?:session|object|entity|item|resource|task)\b"
_ABSENT = re.compile(
    r"\bno\b.* with (?:the )?(?:specified )?id\b"
    rf"|{_OBJECT}[^.]*\b(?:not (?:be )?found|not exist|n't exist)"
    rf"|\b(?:cannot|can't|could not|unable to) find\b[^.]*{_OBJECT}",
    re.IGNORECASE,
)


@dataclass
class Response:
    """A complete response to one request, whatever its status."""

    operation: Operation
    url: str
    status: int
    headers: Any
    body: bytes
    redactor: Redactor

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_from_em(self) -> bool:
        """Whether the body is in the form of EM's REST API; only then it is not another service that answers."""
        return is_from_em(self.body)

    @cached_property
    def text(self) -> str:
        """The server's words in an error's body, in full and as they came."""
        return error_text(self.body) or ""

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait by the header ``Retry-After`` (a number or an HTTP date), or None."""
        try:
            return float(Retry().parse_retry_after(self.headers.get("Retry-After", "")))
        except (InvalidHeader, ValueError, OverflowError):  # a year or number without bounds
            return None

    def error(self, kind: type[EmError], hint: str, detail: str = "", quote: bool = True) -> EmError:
        """The error for this response: its status, the server's words (with ``quote``), more of the problem, a hint."""
        message = self.redactor.redact(self.text) if self.status >= 300 else ""
        problem = f"answered with HTTP {self.status}"
        if quote and message:
            problem += f" and the message '{message}'"
        if detail:
            problem += f" {detail}"
        return kind(self.operation, self.url, problem, hint, self.status, message or None)

    def protocol_error(self, detail: str = "") -> EmError:
        """The error for what EM would not send. Only what is no document of EM speaks against host and port."""
        return self.error(EmProtocolError, CHECK_EM if self.is_from_em else WRONG_SERVICE, detail)

    def redirect_error(self) -> EmError:
        target = split_url(self.headers.get("Location", ""))
        host = target.netloc.rpartition("@")[2]  # without a user name and password
        where = f"{target.scheme}://{host}{target.path}" if host else target.path or "nowhere"
        detail = f"which points to {self.redactor.redact(where)}; redirects are not followed, so that the logon goes nowhere else"
        hint = f"Give the address of the REST API of Enterprise Manager as url, commonly https://{split_url(self.url).hostname}:9398."
        return self.error(EmProtocolError, hint, detail, quote=False)


def logon_error(response: Response, username: str) -> EmError:
    """The error for a refused logon."""
    status = response.status
    if status == 401:
        hint = "Check username (DOMAIN\\user, user@domain or a local user of the EM server), password and url."
        return response.error(EmAuthError, hint)
    if status < 400 or status == 403:
        return status_error(response, username)
    if status in (404, 405) or (status < 500 and response.body and not response.is_from_em):
        return response.protocol_error()
    hint = "Check that the services of Enterprise Manager are started"
    hint += " and that it offers this api_version." if status not in (502, 503, 504) else "."
    return response.error(EmServerError, hint)


def status_error(response: Response, username: str, about: str | None = None) -> EmError:
    """The error for any other response that is not a success.

    :arg about: the id in the request, for :func:`says_absent`.
    """
    status = response.status
    if 300 <= status < 400:
        return response.redirect_error()
    if status == 401:
        hint = "EM dropped the logon, and the new one too. Check whether something else ends logons of this user."
        return response.error(EmAuthError, hint)
    if status == 403:
        return response.error(EmPermissionError, response.operation.role_hint.format(user=username))
    if status == 404 or (status in (400, 500) and says_absent(response.text, about)):
        return response.error(EmNotFoundError, "Check that this version of Enterprise Manager offers this resource.")
    if 400 <= status < 500:
        hint = "Enterprise Manager does not accept this request. Check its message, and that this version offers it."
        return response.error(EmServerError, hint)
    hint = "Check that the services of Enterprise Manager are started and healthy, then try again."
    return response.error(EmServerError, hint)


def says_absent(text: str, about: str | None) -> bool:
    """Whether an error's text says that the requested object is unknown.

    :arg about: the object's id. A text that names it and has a "no" in it says so, too.
    """
    text = text[: MAX_SCANNED // 4]  # with more, the patterns could take minutes
    if about and about in text.lower():
        return bool(re.search(r"\b(?:not|no|unknown)\b", text, re.IGNORECASE))
    return bool(_ABSENT.search(text))
