# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source dr_runbook.veeam_em.failover_session for ansible-rulebook; docs/eda.md is the guide to it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_session
short_description: Events of cloud failover sessions of Veeam Backup Enterprise Manager
description:
  - Polls Veeam Backup Enterprise Manager (EM) for its cloud failover sessions, with one query each time, and emits an event whenever a
    session has started, has changed, has a VM that failed, or has finished. It changes nothing in EM.
  - Every event is a dictionary under the key C(failover_session) with C(event) (V(started), V(changed), V(vm_failed) or V(finished)),
    C(session) (the facts that M(dr_runbook.veeam_em.failover_session_info) returns, and C(tasks_kept_at)), C(vm) (the failed item of
    C(session.tasks), with V(vm_failed) only) and C(em) (the address of EM).
  - Each session that is followed gives one V(finished) event, despite outages and restarts of EM, and with a O(state_file) despite restarts
    of the rulebook. If EM forgets a running session, the log says so instead. If the process is killed at the wrong moment, an event can
    come twice.
  - A session that has finished when it is first seen gives V(vm_failed) events, where EM lists its VMs, and V(finished), but no V(started).
  - EM shows a copy of what its backup servers know and refreshes it every 15 minutes by default. So an event can be that late.
  - If EM is unavailable, restarts or ends the logon, the source goes on. The log has one line when an outage starts and one when it ends.
    The source ends with one sentence if an option is invalid, if EM's certificate is untrusted, or if EM refuses the user or the
    permission to read.
options:
  interval:
    description:
      - Seconds between two polls, from 5 to 86400. While EM is unavailable, the pause doubles from poll to poll, up to five minutes.
      - EM refreshes its own data every 15 minutes by default, so frequent polls gain little.
    type: int
    default: 60
  look_back:
    description:
      - How far the query reaches back, as an age of at least one hour, for example V(90m), V(24h) or V(7d). It counts from the newest session
        that EM has shown, or from now if that one lies in the future. Running sessions are queried however old they are.
      - Sessions that ended that long before the first start, by EM's clock, are never reported.
      - A session is missed only if EM shows it later than that and never showed it running. Set it longer than the time for which EM may be
        unable to refresh its data.
    type: str
    default: 24h
  name:
    description:
      - Only sessions of the plans with these names, exactly as EM shows them. A name, or a list of names; none is split at commas.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
    type: raw
    aliases: [plan]
  backup_server:
    description: Only sessions run by the backup servers with these names, exactly as EM shows them. A name, or a list of names.
    type: raw
  announce_ended:
    description:
      - Whether sessions that ended before the first start give V(finished) events, too, as far as O(look_back) reaches.
      - It applies to a start without state, which is one without a O(state_file), or with one that does not exist yet or was
        created by a start that EM never answered.
    type: bool
    default: false
  state_file:
    description:
      - File that keeps across restarts what has been reported. It is created with mode 0600, and its folder with mode 0700.
        Files with the same name and C(.new) and C(.lock) after it belong to it. V(~) and environment variables are expanded.
      - Keep it out of the folder of a playbook that the action C(run_playbook) runs. That action copies the whole folder, and fails if a file
        vanishes meanwhile.
      - With it, sessions that end while the rulebook is down are reported at the next start. Without it, they are not.
      - Each source needs a file of its own. It holds facts of sessions, but neither the user nor the password.
    type: path
  store:
    description:
      - The history in which to record the sessions that events are about, a file or C(postgresql://user@host/database).
        See C(docs/history.md).
      - With it, the history has the VMs of a run even if EM drops them at its end. It does not replace a look every hour by
        M(dr_runbook.veeam_em.failover_history), which records all else, and shows that nothing was missed.
      - If it fails, the log has one line when that starts and one when it ends. Events go on meanwhile, and what they report is recorded later.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_STORE) is used. Without either, nothing is recorded.
    type: str
  store_password:
    description:
      - Password of PostgreSQL.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_STORE_PASSWORD) is used.
    type: str
  em_name:
    description: What the history calls this Enterprise Manager. By default, the host of O(url).
    type: str
  page_size:
    description: Number of sessions in one request, from 1 to 1000. All pages are read.
    type: int
    default: 100
  url:
    description:
      - Scheme, host and port of Veeam Backup Enterprise Manager, such as V(https://em.example.com:9398).
      - A trailing V(/) or V(/api) is accepted. It must not contain user name and password.
      - With V(http://) the password is sent in clear text, and a warning says so.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_URL) is used.
    type: str
    required: true
  username:
    description:
      - User with a role in Enterprise Manager, as V(DOMAIN\\user), V(user@domain) or a local user of the EM server. It must not contain a colon.
      - The role Portal User or VM Restore Operator is enough.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_USERNAME) is used.
    type: str
    required: true
  password:
    description:
      - Password of the user. It is sent only to log on, as HTTP Basic in UTF-8.
      - A line break or another control character in it is refused before anything is sent; blanks are kept. Quote a password of digits.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_PASSWORD) is used.
    type: str
    required: true
  validate_certs:
    description:
      - Whether the server's TLS certificate must be valid. Set O(ca_path) rather than switching this off.
      - V(false) applies even if E(REQUESTS_CA_BUNDLE) is set.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - PEM file (or folder prepared with C(c_rehash)) with the certificate of the CA that signed the server's certificate. For a self-signed
        certificate, as Enterprise Manager's installation creates it, that certificate itself. Use an absolute path.
      - The certificate must name the host of O(url) under subjectAltName.
      - If neither this nor the environment variable E(VEEAM_EM_CA_PATH) is set, E(REQUESTS_CA_BUNDLE) and then the CAs of Python's C(certifi)
        are used.
    type: str
  timeout:
    description:
      - Seconds to wait for the connection, for the start of a response, and for each further part of it, from 1 to 3600. A request can take
        up to twice as long. Logging off waits for a request that is under way.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_TIMEOUT) is used.
    type: int
    default: 30
  retries:
    description:
      - How often a read is repeated within a poll after a failed connection or HTTP status 500, 502, 503 or 504.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_RETRIES) is used.
    type: int
    default: 3
  api_version:
    description:
      - Version of the REST API to request when logging on, V(latest) or for example V(v1_7).
      - If not set or empty, the value of the environment variable E(VEEAM_EM_API_VERSION) is used.
    type: str
    default: latest
requirements:
  - requests
  - xmltodict
notes:
  - Pass the password in the environment. C(ansible-rulebook -vv) can show rulebooks and their variables.
  - A session does not tell whether it was a start, a test or an undo of its plan.
  - The proxy comes from the environment (E(HTTPS_PROXY), E(HTTP_PROXY), E(ALL_PROXY), E(NO_PROXY)). Redirects are not followed.
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
    - name: A failover did not succeed
      condition: >-
        event.failover_session.event == "finished"
        and (event.failover_session.session.succeeded == false or event.failover_session.session.task_summary.failed > 0)
      action:
        debug:
          msg: "{{ event.failover_session.session.name }}: {{ event.failover_session.session.result }}"

# Two plans of one backup server; the connection comes from variables (ansible-rulebook --vars FILE)
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
import importlib
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml

# ansible-rulebook runs this file by its path, and the collection cannot be imported by its name then. So the core files
# are loaded as a package of their own, which works from a checkout (-S), by the collection's name and installed.
CORE = "_dr_runbook_veeam_em_core"
if CORE not in sys.modules:
    _package = types.ModuleType(CORE)
    _package.__path__ = [str(Path(__file__).resolve().parents[4] / "plugins" / "module_utils")]
    sys.modules[CORE] = _package


def _core(name: str) -> Any:
    return importlib.import_module(f"{CORE}.{name}")


OptionError = _core("_api.errors").OptionError
em_options = _core("_api.options")
criteria = _core("_failover.criteria")
parse_age = _core("_failover.times").parse_age
watcher = _core("_events.watcher")

NAME = "failover_session"


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Put events into the queue until it is cancelled. All that blocks runs in threads."""
    watch = watcher.SessionWatcher(watch_options(args))
    log = session_log(args, watch)
    try:
        with _graceful_signals():
            await asyncio.to_thread(watch.save)  # the moment of the first start, should there be no first poll
            if log:
                await asyncio.to_thread(log.record)  # nothing as yet, but it says if the store cannot be used
            while True:
                poll = await asyncio.to_thread(watch.poll)
                if poll is not None:
                    for event in watch.events(poll):
                        if log:
                            log.add(event["session"], poll.seen_at)
                        await queue.put({NAME: event})  # filters of the rulebook may change it
                    # Before the state is saved: what was not recorded when the process is killed comes again.
                    if log and log.pending:
                        await asyncio.to_thread(log.record)
                    await asyncio.to_thread(watch.save)
                await _sleep(watch.pause)
    finally:
        watch.cancelled.set()
        if log and log.pending:
            await asyncio.to_thread(log.record)
        await asyncio.to_thread(watch.close)  # the thread goes on even if it is not waited for


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


# Options. ansible-rulebook does not need ansible-core, so its checks of types cannot be used here.

CONNECTION = ("url", "username", "password", "validate_certs", "ca_path", "timeout", "retries", "api_version")
STORE = ("store", "store_password")
DEFAULTS: dict[str, Any] = {
    name: option.get("default") for name, option in yaml.safe_load(DOCUMENTATION)["options"].items()
}
WHERE_TO_GIVE = "Give each as an option, or in the environment ({environment})."
MIN_LOOK_BACK = timedelta(hours=1)
TRUE, FALSE = ("true", "yes", "on", "1", "t", "y"), ("false", "no", "off", "0", "f", "n")
"""What Ansible accepts as a boolean."""


def watch_options(args: dict[str, Any]) -> Any:
    """The options given, from the environment or by default, checked, as the watcher takes them.

    :raises OptionError: names the option and what would be accepted.
    """
    for module, library in (("_api.transport", "requests"), ("_api.xml", "xmltodict")):
        if getattr(_core(module), f"{library.upper()}_IMPORT_ERROR"):
            accepted = (
                f"Install it for the Python that runs ansible-rulebook: {sys.executable} -m pip install {library}"
            )
            raise OptionError("requirements", library, f"This Python library is missing. {accepted}")
    args = criteria.without_alias(args)
    for name in args:
        if name not in DEFAULTS:
            known = ", ".join(sorted(DEFAULTS))
            raise OptionError(name, "...", f"There is no such option. Options are: {known}.")
    for name in ("name", "backup_server"):
        if name in args and args[name] is None:  # read as "not set", it would select everything
            raise OptionError(name, None, "Give a value, or leave the option out to select all.")
    options = {name: _value(name, args.get(name), default) for name, default in DEFAULTS.items()}
    em_options.check_required(options.get, WHERE_TO_GIVE)
    if not 5 <= options["interval"] <= 86400:
        raise OptionError("interval", options["interval"], "Give a whole number of seconds from 5 to 86400.")
    look_back = parse_age(options["look_back"])
    if look_back is None or not MIN_LOOK_BACK <= look_back <= timedelta(days=3650):
        raise OptionError("look_back", options["look_back"], "Give an age from 1h to 3650d, such as 24h or 7d.")
    return watcher.WatchOptions(
        connection={name: options[name] for name in CONNECTION},
        criteria=criteria.SessionCriteria.from_options({**options, "sort_order": "ascending"}.get),
        interval=options["interval"],
        look_back=look_back,
        announce_ended=options["announce_ended"],
        state_file=options["state_file"],
    )


def session_log(args: dict[str, Any], watch: Any) -> Any:
    """What records sessions in the history, or None if no store is given.

    :raises OptionError: an option cannot be used.
    """
    options = {name: _value(name, args.get(name), None) for name in (*STORE, "em_name", "url")}
    if not options["store"]:
        return None
    history = _core("_history.options")
    em_name = history.name_of_em(options["em_name"], options["url"])
    open_store = partial(history.open_history, options.get, create=True)
    return _core("_history.session_log").SessionLog(open_store, em_name, watch.mask_secrets, watch.warn)


def _value(name: str, given: Any, default: Any) -> Any:
    """The value of one option, of the type of its default."""
    if name in (*CONNECTION, *STORE) and not em_options.is_set(given):
        given = em_options.from_environment(name)
    if given is None:
        return default
    if name in ("name", "backup_server"):
        return given  # checked with the criteria
    text = str(given).strip()
    if isinstance(default, bool):
        if text.lower() not in TRUE + FALSE:
            raise OptionError(name, given, "Give true or false.")
        return text.lower() in TRUE
    if isinstance(default, int):
        if isinstance(given, bool) or not text.isdecimal():
            raise OptionError(name, given, "Give a whole number.")
        return int(text[:9])
    if name == "look_back":
        return text  # checked with its bounds
    em_options.check_text(name, given)
    if name == "state_file" and (not given or "\0" in given):
        raise OptionError(name, given, "Give the path of a file, or leave the option out.")
    return given
