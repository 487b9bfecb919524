# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lookup and inventory share: their options, the client from these, errors as Ansible's."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ..module_utils._api.client import EnterpriseManager
from ..module_utils._api.errors import EmError, OptionError
from ..module_utils._argspec import CONNECTION_SPEC, MAX_DATA_AGE_SPEC, SESSION_CRITERIA_SPEC, SOURCE_SPEC, STORE_SPEC
from ..module_utils._history.records import HistoryError
from ..module_utils._module import client_from_options, missing_libraries

HIDDEN = "..."
"""Replaces a value that may be a secret in a sentence."""

_display = Display()


@contextmanager
def fail_on_error(error: type[AnsibleError]) -> Iterator[None]:
    """Turns every error of the client, the readers and the history into one of Ansible's, with the same sentence."""
    missing = missing_libraries()
    if missing:
        raise error(missing[0])
    try:
        yield
    except (OptionError, EmError, HistoryError) as exc:
        raise error(str(exc)) from None


def connect(option: Callable[[str], Any]) -> EnterpriseManager:
    """The client for these connection options; ``with`` logs on and off.

    :arg option: gives the value of the option with that name.
    :raises OptionError: one of them cannot be used.
    """
    return client_from_options(option, _display.warning)


def connection_variables(variables: Mapping[str, Any], templar: Any, besides: Collection[str] = ()) -> dict[str, Any]:
    """The values of the variables that stand for options of the connection and the history (``veeam_em_url`` and so on).

    A password is mostly a template that names a vaulted variable.

    :arg besides: options that are given, so that their variables do not count.
    """
    names = [f"veeam_em_{name}" for name in (*CONNECTION_SPEC, *STORE_SPEC) if name not in besides]
    return {name: _resolve(name, variables[name], templar) for name in names if variables.get(name) is not None}


def resolve_templates(options: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """The options of an inventory file, with templates in connection options and criteria replaced by their values.

    :raises OptionError: a template cannot be evaluated.
    """
    templates = {*CONNECTION_SPEC, *SESSION_CRITERIA_SPEC, *MAX_DATA_AGE_SPEC, *STORE_SPEC, *SOURCE_SPEC}
    return {name: _resolve(name, value, templar) if name in templates else value for name, value in options.items()}


def _resolve(name: str, value: Any, templar: Any) -> Any:
    try:
        return templar.template(value)
    except AnsibleError as exc:
        # The error quotes what it could not read, which may be a password that only looks like a template.
        secret = name.endswith(("password", "url", "store"))
        accepted = "It is a template with an error" + (", which is not shown here." if secret else f": {exc}")
        raise OptionError(name, HIDDEN if secret else value, accepted) from None


def check_options(
    given: Mapping[str, Any], variables: Mapping[str, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    """The options given, checked for what ansible-core lets pass in plugins.

    It ignores a misspelt option, which then silently selects nothing, takes every misspelt boolean for false, takes null
    for "not set", and shows a password that is not a text.

    :arg given: options by their names, as the user has written them.
    :arg variables: those of :func:`connection_variables`.
    :arg definitions: of all options, by their names.
    :raises OptionError: names the option.
    """
    options = {name: _check_given(name, value, definitions) for name, value in given.items()}
    for name, spec in CONNECTION_SPEC.items():
        value = _connection_value(name, given, variables)
        if isinstance(value, (dict, list)):
            raise OptionError(name, HIDDEN, "Give a text, not a list or a dictionary.")
        if spec.get("required") and value in (None, "") and given.get("source") == "history":
            options[name] = ""  # it is not used, and ansible-core must not miss it
        elif spec.get("required") and value in (None, ""):
            variable, environment = f"veeam_em_{name}", f"VEEAM_EM_{name.upper()}"
            accepted = f"Give it as option {name}, as variable {variable}, or in the environment as {environment}."
            raise OptionError(name, "", accepted)
        if spec["type"] == "bool":
            options[name] = spec["default"] if value is None else _boolean(name, value)
    return options


def _check_given(name: str, value: Any, definitions: Mapping[str, Any]) -> Any:
    if name not in definitions:
        known = ", ".join(sorted(definitions))
        raise OptionError(name, HIDDEN, f"There is no such option. Options are: {known}.")
    if value is None and name in MAX_DATA_AGE_SPEC:
        raise OptionError(name, value, "Give an age such as 20m, or leave the option out if data of any age will do.")
    if value is None and name in SESSION_CRITERIA_SPEC:
        # Read as "not set", it would select everything where a runbook has computed nothing.
        raise OptionError(name, value, "Give a value, or leave the option out to select all.")
    is_bool = definitions[name].get("type") in ("bool", "boolean")
    return _boolean(name, value) if is_bool and value is not None else value


def _connection_value(name: str, given: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """The value that ansible-core will take for a connection option; empty in the environment is not set, as AWX leaves it."""
    for value in (given.get(name), variables.get(f"veeam_em_{name}")):
        if value is not None:
            return value
    return os.environ.get(f"VEEAM_EM_{name.upper()}") or None


def _boolean(name: str, value: Any) -> bool:
    try:
        return bool(boolean(value, strict=True))
    except TypeError:
        raise OptionError(name, value, "Give true or false.") from None
