# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules share: the module, the client from its options, errors as ``fail_json``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._api import transport, xml
from ._api.client import EnterpriseManager
from ._api.errors import EmError, OptionError
from ._api.options import REQUIRED, check_required, check_text, from_environment, is_set
from ._argspec import CONNECTION_SPEC, STORE_SPEC
from ._history.records import HistoryError

_URL_PASSWORDS = re.compile(r"://[^@]*?:(.*)@|[?&](?:ssl)?password=([^&]*)", re.IGNORECASE)

WHERE_TO_GIVE = (
    "Give {it} as option{s} {options}, with module_defaults for the group dr_runbook.veeam_em.all, or in the environment as {environment}, "
    "on the machine where the task runs. become (sudo) clears the environment: set become: false for this task."
)
_TIME_WITHOUT_QUOTES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?")


def missing_libraries() -> tuple[str, str] | None:
    """The sentence about Python libraries that cannot be imported, and why the first one cannot; None if all can."""
    problems = {"requests": transport.REQUESTS_IMPORT_ERROR, "xmltodict": xml.XMLTODICT_IMPORT_ERROR}
    missing = {library: str(problem) for library, problem in problems.items() if problem}
    if not missing:
        return None
    names = " and ".join(missing)
    return f"{missing_required_lib(names)} ({sys.executable} -m pip install {' '.join(missing)})", next(
        iter(missing.values())
    )


class Module(AnsibleModule):  # type: ignore[misc]
    """A module whose options for connection and history are checked here, since ansible-core makes texts of numbers and refuses empty ones.

    :ivar given: all options as they were given.
    """

    def _load_params(self) -> None:
        super()._load_params()
        self.given = dict(self.params)
        for name in (*CONNECTION_SPEC, *STORE_SPEC):
            if not is_set(self.given.get(name)):
                self.params.pop(name, None)
                if name in REQUIRED and from_environment(name) is None:
                    self.params[name] = ""


def create_module(argument_spec: dict[str, Any], **options: Any) -> Module:
    """The module with the connection options added; it fails with a sentence if a Python library is missing."""
    module = Module(argument_spec={**CONNECTION_SPEC, **argument_spec}, **options)
    # With -vvv Ansible shows all options, also of a module that refuses them.
    for name in ("url", "store"):
        for secrets in _URL_PASSWORDS.findall(str(module.params.get(name) or "")):
            module.no_log_values.update(filter(None, secrets))
    missing = missing_libraries()
    if missing:
        module.fail_json(msg=missing[0], exception=missing[1])
    return module


def client_from_options(option: Callable[[str], Any], warn: Callable[[str], Any]) -> EnterpriseManager:
    """The client for these connection options, not yet logged on.

    :arg option: gives the value of the option with that name.
    :raises OptionError: one of them cannot be used.
    """
    return EnterpriseManager(**{name: option(name) for name in CONNECTION_SPEC}, warn=warn)


def client_from_module(module: Module) -> EnterpriseManager:
    """The client for the module's connection options, not yet logged on.

    :raises OptionError: one of them cannot be used.
    """
    check_required(module.params.get, WHERE_TO_GIVE)
    check_texts(module, CONNECTION_SPEC)
    # Each sentence once: a wait polls, and may meet the same problem each time.
    return client_from_options(module.params.get, cache(module.warn))


def check_texts(module: Module, specs: Mapping[str, Any]) -> None:
    """Check that the texts among these options were given as texts.

    :raises OptionError: one was not.
    """
    for name, spec in specs.items():
        given = module.given.get(name)
        if spec["type"] in ("str", "list") and is_set(given):
            for value in given if spec["type"] == "list" and isinstance(given, list) else [given]:
                check_text(name, value)


def check_times(module: Module) -> None:
    """Refuse names in the form that ansible-core gives to a time without quotes, where no action plugin sees the time itself.

    :raises OptionError: there is one.
    """
    for option in ("name", "plan", "tenant", "backup_server"):
        given = module.given.get(option)
        for name in given if isinstance(given, list) else [given]:
            if isinstance(name, str) and _TIME_WITHOUT_QUOTES.fullmatch(name):
                accepted = (
                    "It has the form that Ansible gives to a time without quotes. Quote it where it is written. If this is really the name, "
                    "use the lookup dr_runbook.veeam_em.failover_session."
                )
                raise OptionError(option, name, accepted)


def at_least(module: AnsibleModule, minimum: int, *names: str) -> None:
    """Check that these options are not smaller.

    :raises OptionError: one of them is.
    """
    for name in names:
        if module.params[name] < minimum:
            raise OptionError(name, module.params[name], f"Give a whole number of seconds, {minimum} or more.")


@contextmanager
def fail_on_error(module: AnsibleModule, known: Callable[[], dict[str, Any]] = dict) -> Iterator[None]:
    """Ends the module with ``fail_json`` on every error of the client, the readers and the history.

    :arg known: gives what else the failure is to return, such as ``changed``.
    """
    try:
        yield
    except (OptionError, HistoryError) as exc:
        module.fail_json(msg=str(exc), **known())
    except EmError as exc:
        error = {"kind": exc.kind, "status": exc.status, "message": exc.server_message}
        module.fail_json(msg=str(exc), error=error, **known())
    except KeyboardInterrupt as exc:
        module.fail_json(msg=str(exc) or "Interrupted.", **known())
