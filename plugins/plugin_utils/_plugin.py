# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lookup and inventory share: their options, errors as Ansible's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils._api.errors import EmError, MissingLibraryError, OptionError
from ..module_utils._api.options import HIDDEN, check_required, check_text, from_environment, is_set
from ..module_utils._argspec import (
    CONNECTION_SPEC,
    EM_NAMES_SPEC,
    MAX_DATA_AGE_SPEC,
    SESSION_CRITERIA_SPEC,
    SOURCE_SPEC,
    STORE_SPEC,
)
from ..module_utils._failover.criteria import check_names, without_alias
from ..module_utils._history.errors import HistoryError

WHERE_TO_GIVE = "Give each as an option, as a variable ({variables}), or in the environment ({environment})."
UNDECRYPTABLE = (
    "It is encrypted with Ansible Vault and cannot be decrypted: give the vault password (--ask-vault-pass, --vault-password-file "
    "or --vault-id) that it was encrypted with."
)


@contextmanager
def fail_on_error(error: type[AnsibleError]) -> Iterator[None]:
    """Turns every error of the client, the readers and the history into one of Ansible's, with the same sentence."""
    try:
        yield
    except (OptionError, MissingLibraryError, EmError, HistoryError) as exc:
        raise error(str(exc)) from None


def connection_variables(variables: Mapping[str, Any], templar: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the variables that stand for options of the connection and the history (``veeam_em_url`` and so on).

    A password is mostly a template that names a vaulted variable.

    :arg given: options that are given; where one is set, its variable does not count.
    """
    names = [f"veeam_em_{name}" for name in (*CONNECTION_SPEC, *STORE_SPEC) if not is_set(given.get(name))]
    return {name: _resolve(name, variables[name], templar) for name in names if variables.get(name) is not None}


def resolve_templates(options: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """The options of an inventory file, with templates in connection options and criteria replaced by their values.

    :raises OptionError: a template cannot be evaluated.
    """
    templates = {
        *CONNECTION_SPEC,
        *SESSION_CRITERIA_SPEC,
        *MAX_DATA_AGE_SPEC,
        *STORE_SPEC,
        *EM_NAMES_SPEC,
        *SOURCE_SPEC,
        "plan",
    }
    return {name: _resolve(name, value, templar) if name in templates else value for name, value in options.items()}


def _resolve(name: str, value: Any, templar: Any) -> Any:
    try:
        return decrypted(name, templar.template(value))
    except AnsibleError as exc:
        if _is_of_vault(exc):
            raise OptionError(name, HIDDEN, UNDECRYPTABLE) from None
        # The error quotes what it could not read, which may be a password that only looks like a template.
        secret = name.endswith(("password", "url", "store"))
        accepted = "It is a template with an error" + (", which is not shown here." if secret else f": {exc}")
        raise OptionError(name, HIDDEN if secret else value, accepted) from None


def _is_of_vault(exc: BaseException | None) -> bool:
    """Whether an encrypted value is the cause. The exception of ansible-core 2.19 and newer is in a private file, so its name decides."""
    return exc is not None and ("Vault" in type(exc).__name__ or _is_of_vault(exc.__cause__))


def decrypted(name: str, value: Any) -> Any:
    """The value. ansible-core 2.18 and older keep it encrypted until it is used."""
    try:
        return str(value) if getattr(value, "__ENCRYPTED__", False) else value
    except AnsibleError:
        raise OptionError(name, HIDDEN, UNDECRYPTABLE) from None


def decrypted_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """These options, each as :func:`decrypted` gives it."""
    return {name: decrypted(name, value) for name, value in options.items()}


def set_options(plugin: Any, variables: Mapping[str, Any], given: dict[str, Any]) -> None:
    """Set the options of a lookup: those given, else the variables for them, else the environment.

    :raises OptionError: names one that cannot be used.
    """
    given.pop("wantlist", None)  # ansible-core 2.16 gives it where the lookup is a loop (with_...)
    omit = variables.get("omit")
    if omit is not None:  # compared with its kind only, since comparing a value of Ansible Vault decrypts it
        for name in [name for name, value in given.items() if isinstance(value, type(omit)) and value == omit]:
            del given[name]
    definitions = {name: entry for name, entry in plugin.option_definitions.items() if name != "_terms"}
    names = [f"veeam_em_{name}" for name in definitions]
    known = {name: variables[name] for name in names if name in variables}
    values = connection_variables(known, plugin._templar, given)
    plugin.set_options(var_options=values, direct=check_options(given, values, definitions))


def flat_terms(terms: Iterable[Any], accepted: str) -> list[str]:
    """The terms of a lookup as texts, with each list among them replaced by its items.

    :arg accepted: what terms are.
    :raises OptionError: one of them cannot be used.
    """
    texts = []
    for term in terms:
        if term == []:
            # Without terms the criteria alone select, so a runbook that computed no names would get sessions of others.
            raise OptionError("term", term, "An empty list selects nothing. Check the variable that holds it.")
        for item in term if isinstance(term, list) else [term]:
            text = decrypted("term", item)
            if text is not None:
                check_text("term", text)
            if not text or not text.strip():
                raise OptionError("term", text, accepted)
            texts.append(str(text))
    return texts


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
    options = without_alias({name: _check_given(name, value, definitions) for name, value in given.items()})
    for name, spec in {**CONNECTION_SPEC, **STORE_SPEC}.items():
        if name not in definitions:
            continue
        values = (options.get(name), variables.get(f"veeam_em_{name}"), from_environment(name))
        value = next(filter(is_set, values), None)
        if value is None:
            options[name] = spec.get("default", "")
        elif spec["type"] == "bool":
            options[name] = _boolean(name, value)
        else:
            if spec["type"] == "str":
                check_text(name, value)
            options[name] = value
    if "url" in definitions and options.get("source") != "history":
        check_required(options.get, WHERE_TO_GIVE)
    return options


def _check_given(name: str, value: Any, definitions: Mapping[str, Any]) -> Any:
    if name == "plan":  # in sentences it stays as the user has written it
        definitions = {**definitions, name: definitions["name"]}
    if name not in definitions:
        known = ", ".join(sorted(definitions))
        raise OptionError(name, HIDDEN, f"There is no such option. Options are: {known}.")
    if value is None and name in MAX_DATA_AGE_SPEC:
        raise OptionError(name, value, "Give an age such as 20m, or leave the option out if data of any age will do.")
    if value is None and name in (*SESSION_CRITERIA_SPEC, *EM_NAMES_SPEC, "plan", "tenant"):
        # Read as "not set", it would select everything where a runbook has computed nothing.
        raise OptionError(name, value, "Give a value, or leave the option out to select all.")
    if name == "tenant":
        check_names({name: decrypted(name, value)})
    kind = definitions[name].get("type")
    if kind in ("bool", "boolean") and value is not None and name not in CONNECTION_SPEC:
        return _boolean(name, value)
    if kind == "str" and isinstance(value, date):  # of YAML, from a time without quotes
        return value.isoformat()
    items = [decrypted(name, item) for item in (value if isinstance(value, list) else [value])]
    for item in items:
        if kind == "list" and isinstance(item, (int, float, date)):
            check_text(name, item)
        if kind == "int" and isinstance(item, date):
            raise OptionError(name, str(item), "Give a whole number.")
    return items if isinstance(value, list) else items[0]


def _boolean(name: str, value: Any) -> bool:
    try:
        return bool(boolean(value, strict=True))
    except TypeError:
        raise OptionError(name, value, "Give true or false.") from None
