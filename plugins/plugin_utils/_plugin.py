# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""What all plugins on the controller share: the client from their options, logons kept for a task, errors as Ansible's."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _client, _errors, _module

CONNECTION_OPTIONS = tuple(_module.CONNECTION_SPEC)
CRITERIA_OPTIONS = tuple(_module.SESSION_CRITERIA_SPEC)

_display = Display()


@contextmanager
def failing_clearly(error: type[AnsibleError]) -> Iterator[None]:
    """Turns every error that the client and the facts raise into one of Ansible's, with the same sentence."""
    missing = _module.missing_libraries()
    if missing:
        raise error(missing[0])
    try:
        yield
    except (_errors.OptionError, _errors.EmError) as exc:
        raise error(str(exc)) from None


# Options


def connection_variables(variables: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """Those of the variables that stand for connection options (``veeam_em_url`` and so on), ready to use.

    They come as they are written down, and a password mostly is written as a template that names a vaulted variable.
    """
    names = [f"veeam_em_{name}" for name in CONNECTION_OPTIONS]
    return {name: _resolved(name, variables[name], templar) for name in names if variables.get(name) is not None}


def resolved(options: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """The options of an inventory file, with templates in connection options and criteria replaced by their values.

    :raises OptionError: a template cannot be evaluated.
    """
    templates = {*CONNECTION_OPTIONS, *CRITERIA_OPTIONS}
    return {name: _resolved(name, value, templar) if name in templates else value for name, value in options.items()}


def _resolved(name: str, value: Any, templar: Any) -> Any:
    try:
        return templar.template(value)
    except AnsibleError as exc:
        raise _errors.OptionError(
            name, "..." if "password" in name else value, f"It is a template with an error: {exc}"
        ) from None


def check_options(given: Mapping[str, Any], variables: Mapping[str, Any], known: Collection[str]) -> None:
    """Make sure that all options given exist, and that what a connection cannot do without is given.

    ansible-core ignores a misspelt option, which then silently selects nothing.

    :arg given: options by their names, as the user has written them.
    :arg variables: those of :func:`connection_variables`.
    :arg known: names of all options.
    :raises OptionError: names the option.
    """
    for name, value in given.items():
        if name not in known:
            raise _errors.OptionError(name, value, f"There is no such option. Options are: {', '.join(sorted(known))}.")
    for name, spec in _module.CONNECTION_SPEC.items():
        elsewhere = f"VEEAM_EM_{name.upper()}", f"veeam_em_{name}"
        if spec.get("required") and not (
            given.get(name) or os.environ.get(elsewhere[0]) or variables.get(elsewhere[1])
        ):
            accepted = f"Give it as option {name}, as variable {elsewhere[1]}, or in the environment as {elsewhere[0]}."
            raise _errors.OptionError(name, "", accepted)


def connection(option: Callable[[str], Any]) -> dict[str, Any]:
    """The connection options by their names.

    :arg option: gives the value of the option with that name.
    """
    return {name: option(name) for name in CONNECTION_OPTIONS}


# The logon


@contextmanager
def logged_on(options: Mapping[str, Any]) -> Iterator[_client.EnterpriseManager]:
    """A client that has logged on with these connection options.

    In a worker process, which exists for one task, the logon is kept for further calls with the same options, and ended
    with the process. Everywhere else it is ended with the block: a controller may live for hours.

    :raises OptionError: an option cannot be used.
    :raises EmError: the logon failed.
    """
    if not _in_worker():
        with _client.EnterpriseManager(**options, warn=_display.warning) as client:
            yield client
        return
    key = (os.getpid(), *options.items())  # a process forked from this one must not speak on its connection
    kept = _kept.get(key)
    if kept is None:
        kept = _client.EnterpriseManager(**options, warn=_display.warning)
        kept.__enter__()
        Finalize(None, _end_kept, args=(key,), exitpriority=0)
    else:
        del _kept[key]
        kept.idle = False
    try:
        yield kept
    except BaseException:
        # Whatever happened, such a logon is not worth keeping; and an interruption is about to end this process.
        kept.__exit__()
        raise
    _kept[key] = kept
    kept.idle = True


_kept: dict[Any, _client.EnterpriseManager] = {}
"""Logons kept by this worker process. Empty in every other process, and so in a worker when it starts."""


def _end_kept(key: Any) -> None:
    client = _kept.pop(key, None)
    if client is not None:
        client.idle = False
        client.__exit__()


def _in_worker() -> bool:
    """Whether this is a process that ansible-core has forked for one task."""
    return multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread()
