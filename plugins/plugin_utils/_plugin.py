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
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors

CONNECTION_OPTIONS = tuple(_module.CONNECTION_SPEC)
CRITERIA_OPTIONS = tuple(_module.SESSION_CRITERIA_SPEC)

HIDDEN = "..."
"""Stands in a sentence for a value that may be a secret."""

_display = Display()


@contextmanager
def fail_on_error(error: type[AnsibleError]) -> Iterator[None]:
    """Turns every error that the client and the facts raise into one of Ansible's, with the same sentence."""
    missing = _module.missing_libraries()
    if missing:
        raise error(missing[0])
    try:
        yield
    except (_errors.OptionError, _errors.EmError) as exc:
        raise error(str(exc)) from None


# Options


def connection_variables(variables: Mapping[str, Any], templar: Any, besides: Collection[str] = ()) -> dict[str, Any]:
    """Those of the variables that stand for connection options (``veeam_em_url`` and so on), ready to use.

    They come as they are written down, and a password mostly is written as a template that names a vaulted variable.

    :arg besides: options that are given already, so that their variables do not count.
    """
    names = [f"veeam_em_{name}" for name in CONNECTION_OPTIONS if name not in besides]
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
        # The error quotes what it could not read, which may be a password that only looks like a template.
        secret = name.endswith(("password", "url"))
        accepted = "It is a template with an error" + (", which is not shown here." if secret else f": {exc}")
        raise _errors.OptionError(name, HIDDEN if secret else value, accepted) from None


def checked_options(
    given: Mapping[str, Any], variables: Mapping[str, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    """The options given, after what ansible-core does not do for plugins: it ignores a misspelt option, which then
    silently selects nothing, takes every misspelt boolean for false, takes null for "not set", and shows a password that
    is no text.

    :arg given: options by their names, as the user has written them.
    :arg variables: those of :func:`connection_variables`.
    :arg definitions: of all options, by their names.
    :raises OptionError: names the option.
    """
    options = dict(given)
    for name, value in given.items():
        if name not in definitions:
            known = ", ".join(sorted(definitions))
            raise _errors.OptionError(name, HIDDEN, f"There is no such option. Options are: {known}.")
        if value is None and name in CRITERIA_OPTIONS:
            # Read as "not set", it would select everything where a runbook has computed nothing.
            raise _errors.OptionError(name, value, "Give a value, or leave the option out to select all.")
        if definitions[name].get("type") in ("bool", "boolean") and value is not None:
            options[name] = _boolean(name, value)
    for name, spec in _module.CONNECTION_SPEC.items():
        in_environment, in_variables = f"VEEAM_EM_{name.upper()}", f"veeam_em_{name}"
        value = next((item for item in (given.get(name), variables.get(in_variables)) if item is not None), None)
        if value is None:
            value = os.environ.get(in_environment) or None  # empty, as AWX sets what is not filled in
        if isinstance(value, (dict, list)):
            raise _errors.OptionError(name, HIDDEN, "Give a text, not a list or a dictionary.")
        if spec.get("required") and value in (None, ""):
            accepted = (
                f"Give it as option {name}, as variable {in_variables}, or in the environment as {in_environment}."
            )
            raise _errors.OptionError(name, "", accepted)
        if spec["type"] == "bool":
            options[name] = spec["default"] if value is None else _boolean(name, value)
    return options


def _boolean(name: str, value: Any) -> bool:
    try:
        return bool(boolean(value, strict=True))
    except TypeError:
        raise _errors.OptionError(name, value, "Give true or false.") from None


def connection(option: Callable[[str], Any]) -> dict[str, Any]:
    """The connection options by their names.

    :arg option: gives the value of the option with that name.
    """
    return {name: option(name) for name in CONNECTION_OPTIONS}


# The logon


@contextmanager
def connect(options: Mapping[str, Any]) -> Iterator[_client.EnterpriseManager]:
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
    if _kept.key == key and _kept.client:
        client, _kept.client = _kept.client, None
        client.idle = False
    else:
        _end_kept()
        client = _client.EnterpriseManager(**options, warn=_display.warning)
        client.__enter__()
        Finalize(None, _end_kept, exitpriority=0)
    try:
        yield client
    except BaseException:
        # Whatever happened, such a logon is not worth keeping; and an interruption is about to end this process.
        client.__exit__()
        raise
    _kept.key, _kept.client = key, client
    client.idle = True


class _Kept:
    """The one logon that this worker process keeps; none in every other process, and in a worker when it starts."""

    key: Any = None
    client: _client.EnterpriseManager | None = None


_kept = _Kept()


def _end_kept() -> None:
    client, _kept.client = _kept.client, None
    if client is not None and _kept.key[0] == os.getpid():
        client.idle = False
        client.__exit__()


def _in_worker() -> bool:
    """Whether this is a process that ansible-core has forked for one task."""
    return multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread()
