# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exceptions. Each text is a whole sentence for the user; none holds a secret.

::

    OptionError             an option cannot be used; nothing was sent
    MissingLibraryError     a Python library is missing; nothing was sent
    EmError
        EmAuthError         user name or password            EmAmbiguousError    several plans or sessions fit
        EmPermissionError   a role is missing                EmBusyError         the plan has a running session
        EmNotFoundError     no such object                   EmSupersededError   the plan was run again since
        EmConnectionError   no connection, or it broke       EmRefusedError      EM's task failed
        EmTlsError          certificate or TLS               EmInDoubtError      unknown whether EM has acted
        EmTimeoutError      no complete response in time     EmWaitError         the time for waiting is over
        EmProtocolError     not a response of EM             EmRunFailedError    EM did it, without success
        EmServerError       any other error status           EmStaleError        EM's data is too old
"""

from __future__ import annotations

from typing import NamedTuple

from .redaction import MAX_MESSAGE, describe, single_line, truncate

MAX_URL = 300
"""Characters of a URL that are shown in a sentence."""

CHECK_EM = (
    "Check that the version of Enterprise Manager is supported (10 to 13), and that no proxy changes its responses."
)
WRONG_SERVICE = (
    "Another service seems to answer there. Check host and port of url: the REST API of Enterprise Manager is on "
    "port 9398 (9399 for http) unless it was changed; 443 and 9443 are web pages, 9419 is the API of a backup server, "
    "and a proxy may stand between."
)


class OptionError(ValueError):
    """An option has a value that cannot be used; raised before the first request.

    :ivar option: name of the option.
    """

    def __init__(self, option: str, value: object, accepted: str) -> None:
        super().__init__(f"{option}: {describe(value, MAX_MESSAGE)} cannot be used. {accepted}")
        self.option = option


class MissingLibraryError(Exception):
    """A Python library cannot be imported.

    :ivar reason: why the first one cannot.
    """

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Operation(NamedTuple):
    """What is being done with EM, for sentences; as text it is its name.

    :ivar name: such as ``Read cloud failover sessions``.
    :ivar role_hint: what to check where EM forbids it to ``{user}``.
    """

    name: str
    role_hint: str = "Check that {user} has the role Portal Administrator in Enterprise Manager."

    def __str__(self) -> str:
        return self.name


class EmError(Exception):
    """What went wrong with EM. ``str()`` is the sentence for the user: "Log on failed: em:9398 PROBLEM. HINT (URL)".

    :arg operation: what failed; empty where the problem says it all.
    :arg problem: a phrase whose subject is the server, such as "answered with HTTP 403".
    :arg hint: sentences that say what to check or to do.
    :ivar problem: the phrase with its subject.
    :ivar kind: one word for playbooks to branch on: ``auth``, ``permission``, ``not_found``, ``connection``, ``tls``,
        ``timeout``, ``protocol`` or ``server``.
    :ivar status: HTTP status of the reply that carried the problem. None where none did: there was no reply, or it is a
        conclusion from good ones.
    :ivar server_message: the server's own words, cut to one line, or None.
    :ivar url: the URL of the request.
    :ivar reached: whether the request may have reached EM; not if there was no connection, or a proxy refused.
    :ivar transient: whether it may help to try again; not where a proxy refused.
    :ivar in_doubt: whether EM may have carried out the requested action all the same.
    """

    kind = ""
    reached = True
    transient = True
    in_doubt = False

    def __init__(
        self,
        operation: Operation | str,
        url: str,
        problem: str,
        hint: str,
        status: int | None = None,
        server_message: str | None = None,
    ) -> None:
        self.status = status
        self.server_message = server_message
        self.url = url
        self.problem = f"{url.partition('://')[2].partition('/')[0] or 'Enterprise Manager'} {problem}"
        start = f"{operation} failed: " if operation else ""
        super().__init__(f"{start}{self.problem}. {hint} ({truncate(single_line(url), MAX_URL)})")


class EmAuthError(EmError):
    """EM does not accept the user name and password, or dropped the new logon too (401); or a proxy does not accept its own."""

    kind = "auth"


class EmPermissionError(EmError):
    """The user's role does not allow it (403)."""

    kind = "permission"


class EmNotFoundError(EmError):
    """EM has no such object (404, or 400 or 500 with a text that says so)."""

    kind = "not_found"


class EmConnectionError(EmError):
    """No connection, or it broke."""

    kind = "connection"


class EmTlsError(EmError):
    """The server's certificate was refused, or TLS could not be agreed."""

    kind = "tls"


class EmTimeoutError(EmError):
    """No complete response within ``timeout`` seconds."""

    kind = "timeout"


class EmProtocolError(EmError):
    """A response that EM would not send: another service, a broken document, a redirect, pages that do not end."""

    kind = "protocol"


class EmServerError(EmError):
    """EM answered with an error status that none of the others describe."""

    kind = "server"


# Of actions and waits, concluded from good responses


class EmAmbiguousError(EmError):
    """Several plans or sessions fit, and nothing distinguishes them."""

    kind = "ambiguous"


class EmBusyError(EmError):
    """The plan has a running session, so this action cannot start."""

    kind = "busy"


class EmRunFailedError(EmError):
    """EM did what it was asked for, and that did not succeed."""

    kind = "run_failed"


class EmSupersededError(EmError):
    """The plan was run again since the session that is to be undone."""

    kind = "superseded"


class EmRefusedError(EmError):
    """EM accepted the request, and its task failed."""

    kind = "refused"


class EmInDoubtError(EmError):
    """It is not known whether EM carried an action out."""

    kind = "in_doubt"


class EmStaleError(EmError):
    """EM's copy of its backup servers' data is too old, or it is not known how old it is."""

    kind = "stale"


class EmWaitError(EmError):
    """The time for waiting is over."""

    kind = "wait_timeout"
