# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source dr_runbook.veeam_em.failover_session for ansible-rulebook; docs/eda.md is the guide to it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_session
short_description: Events of cloud failover sessions of Veeam Backup Enterprise Manager
description:
  - Asks Veeam Backup Enterprise Manager (EM) for its cloud failover sessions again and again, with one query each time, and emits an event
    whenever a session has started, has changed, has a VM that failed, or is finished. It changes nothing in EM.
  - Every event is a dictionary under the key C(failover_session) with C(event) (V(started), V(changed), V(vm_failed) or V(finished)),
    C(session) (the facts that M(dr_runbook.veeam_em.failover_session_info) returns, and C(tasks_kept_at)), C(vm) (the failed item of
    C(session.tasks), with V(vm_failed) only) and C(em) (the address of EM).
  - Each session gives one V(finished) event, whatever happens to EM and to the network, and also if the rulebook is stopped and started again
    with a O(state_file). If the process is killed at the wrong moment, an event can come twice.
  - A session that is first seen when it is over gives V(vm_failed) events, where EM lists its VMs, and V(finished), but no V(started).
  - EM shows a copy of what its backup servers know and refreshes it every 15 minutes by default. So an event can be that late.
  - If EM is away, starts again or ends the logon, the source goes on. One line in the log says that the trouble has begun, one that it is over.
    It ends with one sentence if an option cannot be used, if EM's certificate is not trusted, or if EM refuses the user or the right to read.
options:
  interval:
    description:
      - Seconds between two looks, from 5 to 86400. While EM is away, the pause doubles from look to look, up to five minutes.
      - EM's own data are refreshed every 15 minutes by default, so little is gained by looking often.
    type: int
    default: 60
  look_back:
    description:
      - How far the query reaches back, as an age such as V(90m), V(24h) or V(7d), an hour or more. It counts from the newest session that EM has
        shown, or from now if that one is of the future. What runs is looked for however old it is.
      - What had ended that long before the first start, by EM's clock, is never told.
      - A session is missed only if EM shows it later than that and never showed it running. So do not make it shorter than the time for
        which EM may be unable to refresh its data.
    type: str
    default: 24h
  name:
    description: Only sessions of the plans with these names, exactly as EM shows them. A name, or a list of names; none is split at commas.
    type: raw
  backup_server:
    description: Only sessions run by the backup servers with these names, exactly as EM shows them. A name, or a list of names.
    type: raw
  announce_ended:
    description:
      - Whether sessions that had ended before the first start give V(finished) events, too, as far as O(look_back) reaches.
      - It counts for a start without memory, which is one without a O(state_file), or with one that does not exist yet or was
        made by a start that EM never answered.
    type: bool
    default: false
  state_file:
    description:
      - File that keeps what has been told across restarts. It is made with mode 0600 if it does not exist, and its folder with mode 0700.
        Beside it, files with C(.new) and C(.lock) after its name are used. V(~) and environment variables in it are filled in.
      - Do not keep it beside a playbook that the action C(run_playbook) runs. That action copies the whole folder, and fails if a file vanishes
        meanwhile.
      - With it, sessions that end while the rulebook is down are told at the next start. Without it, they are not.
      - Each source needs a file of its own. It holds facts of sessions, but neither the user nor the password.
    type: path
  page_size:
    description: How many sessions to ask for in one request, from 1 to 1000. All pages are read.
    type: int
    default: 100
  url:
    description:
      - Scheme, host and port of Veeam Backup Enterprise Manager, such as V(https://em.example.com:9398).
      - A trailing V(/) or V(/api) is accepted. User name and password do not belong here.
      - With V(http://) the password goes over the wire in clear text, and a warning says so.
      - If not set, the value of the environment variable E(VEEAM_EM_URL) is used.
    type: str
    required: true
  username:
    description:
      - User with a role in Enterprise Manager, as V(DOMAIN\\user), V(user@domain) or a local user of the EM server. It must not contain a colon.
      - The role Portal User or VM Restore Operator is enough, both documented to read sessions.
      - If not set, the value of the environment variable E(VEEAM_EM_USERNAME) is used.
    type: str
    required: true
  password:
    description:
      - Password of the user. It is sent with the log on only, as HTTP Basic in UTF-8.
      - If not set, the value of the environment variable E(VEEAM_EM_PASSWORD) is used.
    type: str
    required: true
  validate_certs:
    description:
      - Whether the server's TLS certificate must be valid. Prefer O(ca_path) to switching this off.
      - V(false) is in force even if E(REQUESTS_CA_BUNDLE) is set.
      - If not set, the value of the environment variable E(VEEAM_EM_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - PEM file (or folder prepared with C(c_rehash)) with the certificate of the CA that signed the server's certificate. For a self-signed
        certificate, as Enterprise Manager's installation makes it, that certificate itself. Give an absolute path.
      - The host in O(url) must stand in the certificate under subjectAltName.
      - If neither this nor the environment variable E(VEEAM_EM_CA_PATH) is set, E(REQUESTS_CA_BUNDLE) and then the CAs of Python's C(certifi)
        are used.
    type: str
  timeout:
    description:
      - Seconds that one request may take, from 1 to 3600. A log off waits for a request that is under way.
      - If not set, the value of the environment variable E(VEEAM_EM_TIMEOUT) is used.
    type: int
    default: 30
  retries:
    description:
      - How often a read is repeated within a look that failed in transit or with HTTP status 500, 502, 503 or 504.
      - If not set, the value of the environment variable E(VEEAM_EM_RETRIES) is used.
    type: int
    default: 3
  api_version:
    description:
      - Version of the REST API to ask for at log on, V(latest) or such as V(v1_7).
      - If not set, the value of the environment variable E(VEEAM_EM_API_VERSION) is used.
    type: str
    default: latest
requirements:
  - requests
  - xmltodict
notes:
  - Give the password by the environment. Rulebooks and their variables can be shown by ansible-rulebook with C(-vv).
  - A session does not tell whether it was a start, a test or an undo of its plan.
  - A proxy is taken from the environment (E(HTTPS_PROXY), E(HTTP_PROXY), E(NO_PROXY)). Redirects are not followed.
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection comes from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD of the environment.
- name: Failover sessions
  hosts: localhost
  sources:
    - dr_runbook.veeam_em.failover_session:
        interval: 60
        state_file: /var/lib/eda/failover_session.json
  rules:
    - name: A failover has not succeeded
      condition: >-
        event.failover_session.event == "finished"
        and (event.failover_session.session.succeeded == false or event.failover_session.session.task_summary.failed > 0)
      action:
        debug:
          msg: "{{ event.failover_session.session.name }}: {{ event.failover_session.session.result }}"

# Two plans of one backup server, with the connection from variables (ansible-rulebook --vars FILE)
- name: Failover sessions of two plans
  hosts: localhost
  sources:
    - dr_runbook.veeam_em.failover_session:
        url: "{{ veeam_em_url }}"
        username: "{{ veeam_em_username }}"
        password: "{{ veeam_em_password }}"
        ca_path: /etc/ssl/em-ca.pem
        name:
          - ABC Company Failover Plan
          - UCM Company Full SIte Failover
        backup_server: 172.17.53.48
        look_back: 3d
  rules:
    - name: A VM has failed while its plan is still running
      condition: event.failover_session.event == "vm_failed"
      action:
        debug:
          msg: "{{ event.failover_session.vm.vm_name }}: {{ event.failover_session.vm.failure_message }}"
"""

import asyncio
import fcntl
import importlib
import logging
import os
import re
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

# ansible-rulebook runs this file by its path, and the collection cannot be imported by its name then. So the core files
# are loaded as a package of their own, which works from a checkout (-S), by the collection's name and installed.
CORE = "_dr_runbook_veeam_em_core"
if CORE not in sys.modules:
    _package = types.ModuleType(CORE)
    _package.__path__ = [str(Path(__file__).resolve().parents[4] / "plugins" / "module_utils")]
    sys.modules[CORE] = _package
_changes, _client, _criteria, _errors, _facts, _failover_session, _times, _transport, _wait, _xml = (
    importlib.import_module(f"{CORE}.{name}")
    for name in (
        "_events.state",
        "_api.client",
        "_failover.criteria",
        "_api.errors",
        "_failover.facts",
        "_failover.sessions",
        "_failover.times",
        "_api.transport",
        "_failover.waiter",
        "_api.xml",
    )
)
OptionError = _errors.OptionError

NAME = "failover_session"
LONGEST_PAUSE = 300
"""Seconds between two looks while EM is away, unless ``interval`` is longer."""
LATE = timedelta(minutes=15)
"""EM refreshes its data so often, by default (docs/evidence.md, "The cloud failover session")."""
AWAY = frozenset({None, 502, 503, 504})
"""Without an answer, or with one of these statuses, EM is not there. A 500 may come of the one session that was asked for."""
MOST_SENTENCES = 1000
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")

_log = logging.getLogger("dr_runbook.veeam_em.failover_session")


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Put events into the queue until it is cancelled. All that blocks runs in threads."""
    watch = Watch(args)
    try:
        with _graceful_signals():
            await asyncio.to_thread(watch.save)  # the moment of the first start, should there be no first look
            while True:
                look = await asyncio.to_thread(watch.look)
                if look is not None:
                    for event in watch.changes(*look):
                        await queue.put({NAME: event})
                    await asyncio.to_thread(watch.save)
                await _sleep(watch.pause)
    finally:
        watch.leaving.set()
        await asyncio.to_thread(watch.leave)  # the thread goes on even if it is not waited for


@contextmanager
def _graceful_signals() -> Iterator[None]:
    """Put the handlers of ansible-rulebook for SIGINT and SIGTERM in force again, so that sources are cancelled.

    They are set when it starts. But then it starts a Java machine, which takes both signals for itself and ends the
    process at once: no source can log off. They are called by the event loop, since the exception that they raise gets
    lost where ansible-rulebook handles an event at that moment (seen with 1.3.2).
    """
    before = {}
    if "drools" in sys.modules and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, partial(asyncio.get_running_loop().call_soon_threadsafe, handler))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Leaving(Exception):
    """The source was cancelled: what is under way is not to go on."""


class Watch:
    """Looks at the sessions of one EM, one look at a time, and remembers what has been told.

    :ivar pause: seconds until the next look.
    :ivar leaving: set it when no further look will be needed, before :meth:`leave`.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        """
        :raises OptionError: an option cannot be used.
        """
        options = _options(args)
        self._interval = self.pause = options["interval"]
        self._look_back = options["look_back"]
        self._announce_ended = options["announce_ended"]
        self._criteria = _criteria.SessionCriteria.from_options({**options, "sort_order": "ascending"}.get)
        self._scope = _scope(self._criteria)
        self._connection = {name: options[name] for name in CONNECTION}
        self._said: set[str] = set()
        self.leaving = threading.Event()
        self._client: Any = self._new_client()
        self._em: str = self._client.base_url
        self._logged_on = False
        self._one_look = threading.Lock()
        self._trouble = 0
        self._refused = 0
        self._first_look = True
        self._late = False
        self._ahead: timedelta | None = None
        self._file = StateFile(options["state_file"], self._em) if options["state_file"] else None
        self._memory = (self._file and self._file.read()) or _changes.EventState()
        if self._memory.started is None:
            self._memory.started = _times.format_time(_times.utc_now())
        else:
            self._late = True
        if self._memory.scope != self._scope:
            self._memory.keep(self._criteria.matches)

    # One look, in a thread

    def look(self) -> tuple[list[Any], list[str], str, str | None] | None:
        """What EM shows, for :meth:`changes`, or None if it did not answer.

        :raises EmError: one that does not pass by itself.
        """
        with self._one_look:
            try:
                answer = self._asked()
            except _wait.TRANSIENT_ERRORS as exc:
                if self._first_look and isinstance(exc, _errors.EmProtocolError):
                    raise  # most likely a wrong url
                self._in_trouble(f"{exc} It is asked again, until it answers.", self._interval * 2**self._trouble)
                return None
            except _errors.EmAuthError as exc:
                self._refused += 1
                if self._first_look or self._refused >= _wait.MAX_REFUSED:
                    raise
                self._in_trouble(f"{exc} It is tried once more.", _wait.REFUSED_PAUSE)
                return None
            renew = self._trouble or self._client.logons > 1
            if self._trouble:
                _log.warning("%s answers again, after %d looks without an answer.", self._em, self._trouble)
            if renew:  # a client that had trouble is careful for ever, and one that logs on again keeps all its logons
                self._log_off()
            self._trouble = self._refused = 0
            self.pause = self._interval
            return answer

    def _in_trouble(self, sentence: str, pause: float) -> None:
        if not self._trouble:
            _log.warning("%s", sentence)
        self._trouble = min(self._trouble + 1, 1000)
        self._late = True
        self.pause = max(self._interval, min(pause, LONGEST_PAUSE))

    def _asked(self) -> tuple[list[Any], list[str], str, str | None]:
        if not self._logged_on:
            self._client = self._client or self._new_client()
            self._client.__enter__()
            self._logged_on = True
            em_now = self._client.logon_time
            self._ahead = em_now and em_now - _times.utc_now()
        try:
            return self._read()
        except _errors.EmPermissionError:  # it may stand for a logon that has ended
            self._client.log_on_again()
            return self._read()

    def _read(self) -> tuple[list[Any], list[str], str, str | None]:
        now = _times.utc_now()
        memory, client = self._memory, self._client
        start = self._first_start(now)
        if memory.newest is None and self._first_look:
            newest = _failover_session.find(client, replace(self._criteria, limit=1, descending=True)).sessions
            created = newest[0]["creation_time"] if newest else None
            # What has begun since the first start must not push out of the window what has ended since then.
            memory.newest = created and min(created, _times.format_time(start))
        since = memory.active_since(now, self._look_back, None if self._ahead is None else start)
        facts = []
        for fact in _failover_session.iter_sessions(client, replace(self._criteria, active_since=since)):
            if self.leaving.is_set():
                raise Leaving
            facts.append(fact)
        found, gone = self._by_id(memory.unlisted(facts), now)
        facts += found
        return facts, gone, _times.format_time(now), since

    def _by_id(self, missing: tuple[str, ...], now: datetime) -> tuple[list[Any], list[str]]:
        """The runs with these ids, which may be over and older than what is looked for, and the ids that EM does not know.

        What cannot be read now is asked for in the next look. If EM forbids to read one, or fails for it, each is asked for by itself, so
        that it hides no other.
        """
        facts: list[Any] = []
        gone: list[str] = []
        requests = [missing] if missing else []
        for ids in requests:
            if self.leaving.is_set():
                raise Leaving
            try:
                found = _failover_session.find(self._client, _criteria.SessionCriteria(now=now, ids=ids))
            except (*_wait.TRANSIENT_ERRORS, _errors.EmPermissionError) as exc:
                if exc.status in AWAY:
                    break  # the next look will tell
                if ids is missing:
                    self._warn(f"{exc} Other sessions can be read, so the source goes on, and asks for this one again.")
                if len(ids) > 1:
                    requests += [(guid,) for guid in ids]
                continue
            facts += found.sessions
            gone += found.missing_ids
        return facts, gone

    def _first_start(self, now: datetime) -> datetime:
        """The moment of the first start by EM's clock, or by this machine's where EM did not say how late it is.

        Never one of the future: this machine's clock may have been ahead then, and set right since.
        """
        return min(_times.parse_time(self._memory.started) or now, now) + (self._ahead or timedelta())

    def _new_client(self) -> Any:
        return _client.EnterpriseManager(**self._connection, warn=self._warn, sleep=self._wait_for_retry)

    def _warn(self, sentence: str) -> None:
        """Say something once: with a look a minute, nobody wants to read it again and again."""
        what = MOMENT.sub("", sentence)  # a filter holds a moment that moves on
        if what not in self._said:
            if len(self._said) >= MOST_SENTENCES:
                self._said.clear()
            self._said.add(what)
            _log.warning("%s", sentence)

    def _wait_for_retry(self, seconds: float) -> None:
        if self.leaving.wait(seconds):
            raise Leaving

    # What is new

    def changes(self, facts: list[Any], gone: list[str], seen_at: str, since: str | None) -> Iterator[dict[str, Any]]:
        """The events of a look; one counts as told when the next is asked for."""
        is_past = self._past() if self._first_look else _never
        if self._first_look:
            going = sum(not fact["finished"] for fact in facts)
            _log.info("Watching %s. Sessions that run now: %d.", self._em, going)
        for event in self._memory.changes(facts, seen_at, since, self._scope, is_past):
            yield {**event, "em": self._em}
        self._first_look = False
        for words in self._memory.forget(gone):
            _log.warning(
                "%s does not know the session %s any more, which was running; its end is not told.", self._em, words
            )

    def _past(self) -> Any:
        """What tells sessions that had ended before the first look, and are not to be told."""
        scope = self._memory.scope
        if scope == self._scope:
            return _never
        if scope is not None:  # other options than before: it was not looked for what only the new ones select
            before = _criteria.SessionCriteria.from_options({**scope}.get)
            return lambda fact: not before.matches(fact)
        if self._announce_ended:
            return _never
        if not self._late:
            return lambda fact: True
        # EM gave no first look at once, or one that was not told. What has ended since the first start is new, even if the
        # clocks differ a bit.
        start = _times.format_time(self._first_start(_times.utc_now()) - LATE)
        return lambda fact: _facts.last_time(fact) < start

    # The memory on disk, and the end

    def save(self) -> None:
        """Keep the memory in the state file, if there is one. If that fails, a line says so, and the source goes on."""
        if self._file:
            try:
                self._file.write(self._memory)
            except OSError as exc:
                self._warn(
                    f"The state file {self._file.path} cannot be written ({exc.strerror}). The source goes on, but after a "
                    "restart it may tell again what it has told since then."
                )

    def leave(self) -> None:
        """Keep what has been told, wait for a request that is under way, and log off."""
        self.save()
        with self._one_look:
            self._log_off()
        if self._file:
            self._file.close()

    def _log_off(self) -> None:
        client, self._client = self._client, None
        if self._logged_on:
            self._logged_on = False
            client.__exit__()


def _never(fact: Any) -> bool:
    return False


def _scope(criteria: Any) -> dict[str, Any]:
    """The filters, to be kept beside what was told under them."""
    return {
        "name": criteria.names and sorted(criteria.names),
        "backup_server": criteria.backup_servers and sorted(criteria.backup_servers),
    }


class StateFile:
    """A memory in a file, which one process at a time may use.

    :arg em: address of the EM, since ids of another one mean nothing here.
    :raises OptionError: it cannot be used.
    """

    def __init__(self, path: str, em: str) -> None:
        self.path = os.path.realpath(os.path.expanduser(os.path.expandvars(path)))
        self._em = em
        self._written = ""
        self._writing = threading.Lock()
        try:
            if not os.path.exists(os.path.dirname(self.path)):
                os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            accepted = "Give a file in a folder that can be written to."
            raise OptionError("state_file", path, f"It cannot be locked ({exc.strerror}). {accepted}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            accepted = "Another source or process uses it. Give each source a state file of its own."
            raise OptionError("state_file", path, accepted) from None

    def read(self) -> Any:
        """The memory, or None where the file does not exist.

        :raises OptionError: it cannot be used.
        """
        try:
            text = Path(self.path).read_text(encoding="utf-8", errors="replace")
            return _changes.EventState.from_text(text, self._em)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            self.close()
            why = f"It cannot be read ({exc.strerror})" if isinstance(exc, OSError) else f"It {exc}"
            accepted = f"{why}. Give another file, or remove this one to start without memory; what has ended until then is not told."
            raise OptionError("state_file", self.path, accepted) from None

    def write(self, memory: Any) -> None:
        """Replace the file, at once and as a whole; nothing is written if nothing has changed.

        :raises OSError: it could not be written. The old file is still there then.
        """
        with self._writing:
            text = memory.to_text(self._em)
            if text != self._written:
                self._put(text)
                os.replace(f"{self.path}.new", self.path)
                self._written = text

    def _put(self, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(f"{self.path}.new", flags, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let others use the file."""
        os.close(self._lock)


# Options


CONNECTION = ("url", "username", "password", "validate_certs", "ca_path", "timeout", "retries", "api_version")
DEFAULTS: dict[str, Any] = {
    "url": None,
    "username": None,
    "password": None,
    "validate_certs": True,
    "ca_path": None,
    "timeout": 30,
    "retries": 3,
    "api_version": "latest",
    "interval": 60,
    "look_back": "24h",
    "name": None,
    "backup_server": None,
    "announce_ended": False,
    "state_file": None,
    "page_size": 100,
}
REQUIRED = ("url", "username", "password")
SHORTEST_LOOK_BACK = timedelta(hours=1)
WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1", "t", "y"), True),
    **dict.fromkeys(("false", "no", "off", "0", "f", "n"), False),
}
"""What Ansible takes for a boolean."""


def _options(args: dict[str, Any]) -> dict[str, Any]:
    """The options given, by the environment or by default, with their types checked.

    :raises OptionError: names the option and what would be accepted.
    """
    for library, error in (("requests", _transport.REQUESTS_IMPORT_ERROR), ("xmltodict", _xml.XMLTODICT_IMPORT_ERROR)):
        if error:
            accepted = (
                f"Install it for the Python that runs ansible-rulebook: {sys.executable} -m pip install {library}"
            )
            raise OptionError("requirements", library, f"This Python library is missing. {accepted}")
    for name in args:
        if name not in DEFAULTS:
            known = ", ".join(sorted(DEFAULTS))
            raise OptionError(name, "...", f"There is no such option. Options are: {known}.")
    options = {name: _value(name, args.get(name), default) for name, default in DEFAULTS.items()}
    if not 5 <= options["interval"] <= 86400:
        raise OptionError("interval", options["interval"], "Give a whole number of seconds from 5 to 86400.")
    look_back = _times.parse_age(options["look_back"])
    if look_back is None or not SHORTEST_LOOK_BACK <= look_back <= timedelta(days=3650):
        raise OptionError("look_back", options["look_back"], "Give an age from 1h to 3650d, such as 24h or 7d.")
    return {**options, "look_back": look_back}


def _value(name: str, given: Any, default: Any) -> Any:
    """The value of one option, of the type of its default."""
    if name in CONNECTION and given is None:
        given = os.environ.get(f"VEEAM_EM_{name.upper()}") or None  # empty, as AWX sets what is not filled in
    if name in REQUIRED and given in (None, ""):
        raise OptionError(name, "", f"Give it as option, or in the environment as VEEAM_EM_{name.upper()}.")
    if given is None:
        return default
    if name in ("name", "backup_server"):
        return given  # checked with the criteria
    if isinstance(default, bool):
        if isinstance(given, bool):
            return given
        if str(given).strip().lower() in WORDS:
            return WORDS[str(given).strip().lower()]
        raise OptionError(name, given, "Give true or false.")
    if isinstance(default, int):
        if not isinstance(given, bool) and str(given).strip().isdecimal():
            return int(str(given).strip()[:9])
        raise OptionError(name, given, "Give a whole number.")
    if not isinstance(given, str):
        raise OptionError(name, "...", "Give a text, in quotes.")
    if name == "state_file" and (not given or "\0" in given):
        raise OptionError(name, given, "Give the path of a file, or leave the option out to go without memory.")
    return given
