# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules share: the module, checks of its options, errors as ``fail_json``. It loads no client of EM."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._api.errors import EmError, EmWaitError, MissingLibraryError, OptionError
from ._api.options import REQUIRED, check_text, from_environment, is_set
from ._argspec import CONNECTION_SPEC, STORE_SPEC
from ._history.errors import HistoryError

_URL_PASSWORDS = re.compile(r"://[^@]*?:(.*)@|[?&](?:ssl)?password=([^&]*)", re.IGNORECASE)

_TIME_WITHOUT_QUOTES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?")


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
    """The module with the connection options added."""
    module = Module(argument_spec={**CONNECTION_SPEC, **argument_spec}, **options)
    # With -vvv Ansible shows all options, also of a module that refuses them.
    for name in ("url", "store"):
        for secrets in _URL_PASSWORDS.findall(str(module.params.get(name) or "")):
            module.no_log_values.update(filter(None, secrets))
    return module


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


def check_seconds(module: AnsibleModule, *names: str) -> None:
    """Check that these options are at least one second.

    :raises OptionError: one of them is less.
    """
    for name in names:
        if module.params[name] < 1:
            raise OptionError(name, module.params[name], "Give a whole number of seconds, 1 or more.")


@contextmanager
def fail_on_error(module: AnsibleModule, known: Callable[[], dict[str, Any]] = dict) -> Iterator[None]:
    """Ends the module with ``fail_json`` on every error of the client, the readers and the history.

    :arg known: gives what else the failure is to return, such as ``changed``. ``timed_out`` becomes true at a time limit.
    """
    try:
        yield
    except (OptionError, HistoryError) as exc:
        module.fail_json(msg=str(exc), **known())
    except MissingLibraryError as exc:
        module.fail_json(msg=str(exc), exception=exc.reason, **known())
    except EmError as exc:
        error = {"kind": exc.kind, "status": exc.status, "message": exc.server_message}
        more = known()
        if "timed_out" in more:
            more["timed_out"] = isinstance(exc, EmWaitError)
        module.fail_json(msg=str(exc), error=error, **more)
    except KeyboardInterrupt as exc:
        module.fail_json(msg=str(exc) or "Interrupted.", **known())
