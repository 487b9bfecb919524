# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users, logons and their tokens (docs/evidence.md, "Logon")."""

from __future__ import annotations

import base64
import binascii
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .clock import Clock
from .em_tasks import EmTasks

TOKEN_HEADER = "X-RestSvcSessionId"
IDLE_SECONDS = 900  # [doc]
ADMINISTRATOR = "portal administrator"
SESSIONS, PLANS, POINTS = "failoverSessions", "cloudFailoverPlans", "vmReplicaPoints"
SERVERS = "backupServers"
# [doc] What each role may use of what is here, in whatever way it is offered; an administrator may use all. Roles that
# are not named may use nothing.
_MAY_USE = {
    "portal user": {SESSIONS, POINTS, SERVERS},
    "vm restore operator": {SESSIONS, PLANS},
    "file restore operator": {SESSIONS, PLANS},
    "exchange restore operator": set(),
    "oracle restore operator": set(),
    "sql restore operator": set(),
}


@dataclass(frozen=True)
class User:
    """An account; ``name`` in whatever form it logs on with (``DOMAIN\\user``, ``user@domain``, ``user``).

    :param role: one of those of Enterprise Manager, or several parted by commas: they add up [doc: each; assumed: sum].
    """

    name: str
    password: str
    role: str = "Portal Administrator"

    @property
    def administrates(self) -> bool:
        """Whether it may use everything."""
        return ADMINISTRATOR in self._roles

    def may_use(self, resource: str) -> bool:
        """Whether a role of it may use this resource: of plans also start, test and undo."""
        return self.administrates or any(resource in _MAY_USE.get(role, ()) for role in self._roles)

    @property
    def _roles(self) -> set[str]:
        return {role.strip().casefold() for role in self.role.split(",")}

    @classmethod
    def parse(cls, text: str) -> User:
        """Read ``NAME:PASSWORD:ROLE``; colons inside belong to the password. Raises ValueError."""
        name, colon, rest = text.partition(":")
        password, second_colon, role = rest.rpartition(":")
        if not (colon and second_colon):
            raise ValueError(f"not NAME:PASSWORD:ROLE: {text}")
        return cls(name, password, role)


DEFAULT_USERS = (
    User("admin", "Passw0rd!"),
    User("reader", "Passw0rd!", "Portal User"),
    User("operator", "Passw0rd!", "VM Restore Operator"),
    User("both", "Passw0rd!", "Portal User, VM Restore Operator"),
    User("restricted", "Passw0rd!", "Exchange Restore Operator"),
)


@dataclass
class Logon:
    """A live logon: the id is for logging off, the token for requests. Its tasks die with it [doc]."""

    session_id: str
    user: User
    last_use: datetime
    tasks: EmTasks = field(default_factory=EmTasks)

    @property
    def token(self) -> str:
        """Base64 of the id's text [seen]."""
        return base64.b64encode(self.session_id.encode()).decode()


class Logons:
    """Issues, finds and forgets logons; idle ones end after ``idle_seconds``."""

    def __init__(self, clock: Clock, users: Iterable[User], idle_seconds: float = IDLE_SECONDS) -> None:
        self.idle_seconds = idle_seconds
        self._clock = clock
        self._users = {user.name.casefold(): user for user in users}
        self._by_token: dict[str, Logon] = {}
        self._lock = threading.RLock()

    def authenticate(self, authorization: str | None) -> User | None:
        """The user of a Basic ``Authorization`` header, or None. UTF-8 is tried first, then Latin-1 [assumed]."""
        scheme, dummy, value = (authorization or "").partition(" ")
        if scheme.casefold() != "basic":
            return None
        try:
            credentials = base64.b64decode(value.strip(), validate=True)
        except binascii.Error:
            return None
        for encoding in ("utf-8", "latin-1"):
            try:
                name, dummy, password = credentials.decode(encoding).partition(":")
            except UnicodeDecodeError:
                continue
            user = self._users.get(name.casefold())  # Windows account names have no case
            if user is not None and user.password == password:
                return user
        return None

    def log_on(self, user: User) -> Logon:
        """Begin a logon."""
        logon = Logon(str(uuid.uuid4()), user, self._clock.now())
        with self._lock:
            self._by_token[logon.token] = logon
        return logon

    def use(self, headers: Mapping[str, str]) -> Logon | None:
        """The live logon of a request, renewed by this use; None if there is none.

        The cookie wins over the header even when only the header is good [doc].
        """
        token = _cookie(headers.get("cookie", "")) or headers.get(TOKEN_HEADER.lower())
        with self._lock:
            self._forget_idle()
            logon = self._by_token.get(token or "")
            if logon is not None:
                logon.last_use = self._clock.now()
            return logon

    def live(self) -> list[Logon]:
        """All live logons, oldest first."""
        with self._lock:
            self._forget_idle()
            return list(self._by_token.values())

    def log_off(self, logon: Logon) -> None:
        """End a logon."""
        with self._lock:
            self._by_token.pop(logon.token, None)

    def expire_all(self) -> None:
        """Forget all logons at once."""
        with self._lock:
            self._by_token.clear()

    def _forget_idle(self) -> None:
        now = self._clock.now()
        for token, logon in list(self._by_token.items()):
            if (now - logon.last_use).total_seconds() >= self.idle_seconds:
                del self._by_token[token]


def _cookie(header: str) -> str | None:
    """The token in a ``Cookie`` header, if there is one."""
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name.casefold() == TOKEN_HEADER.casefold():
            return value.strip().strip('"')
    return None
