# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""What all modules share: argument specs, the module, the client from its options, errors as ``fail_json``."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport as _transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml as _xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import criteria as _criteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import RESULTS, STATES

CONNECTION_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True, "fallback": (env_fallback, ["VEEAM_EM_URL"])},
    "username": {"type": "str", "required": True, "fallback": (env_fallback, ["VEEAM_EM_USERNAME"])},
    "password": {"type": "str", "required": True, "no_log": True, "fallback": (env_fallback, ["VEEAM_EM_PASSWORD"])},
    "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["VEEAM_EM_VALIDATE_CERTS"])},
    # Not of type path: in plugins, ansible-core makes the current folder of an empty one, which stands for none.
    "ca_path": {"type": "str", "fallback": (env_fallback, ["VEEAM_EM_CA_PATH"])},
    "timeout": {"type": "int", "default": 30, "fallback": (env_fallback, ["VEEAM_EM_TIMEOUT"])},
    "retries": {"type": "int", "default": 3, "fallback": (env_fallback, ["VEEAM_EM_RETRIES"])},
    "api_version": {"type": "str", "default": "latest", "fallback": (env_fallback, ["VEEAM_EM_API_VERSION"])},
}
"""Fragment ``_connection`` as an argument spec."""

SESSION_CRITERIA_SPEC: dict[str, Any] = {
    "id": {"type": "list", "elements": "str"},
    "name": {"type": "raw"},  # a list would be split at commas, which names may contain
    "state": {"type": "list", "elements": "str", "choices": list(STATES)},
    "result": {"type": "list", "elements": "str", "choices": list(RESULTS)},
    "backup_server": {"type": "list", "elements": "str"},
    "created_after": {"type": "str"},
    "created_before": {"type": "str"},
    "ended_after": {"type": "str"},
    "ended_before": {"type": "str"},
    "latest_per_plan": {"type": "bool", "default": False},
    "sort_order": {"type": "str", "choices": list(_criteria.SORT_ORDERS), "default": "descending"},
    "limit": {"type": "int"},
    "page_size": {"type": "int", "default": 100},
}
"""Fragment ``_session_criteria`` as an argument spec."""


def missing_libraries() -> tuple[str, str] | None:
    """A sentence about the Python libraries that are missing, and the traceback of their import; None if all are there."""
    problems = {"requests": _transport.REQUESTS_IMPORT_ERROR, "xmltodict": _xml.XMLTODICT_IMPORT_ERROR}
    missing = {library: problem for library, problem in problems.items() if problem}
    if not missing:
        return None
    sentence = f"{missing_required_lib(' and '.join(missing))} ({sys.executable} -m pip install {' '.join(missing)})"
    return sentence, "".join(
        line for problem in missing.values() for line in traceback.format_exception(None, problem, None)
    )


def create_module(argument_spec: dict[str, Any], **options: Any) -> AnsibleModule:
    """The module with the connection options added; it fails with a sentence where a Python library is missing."""
    module = AnsibleModule(argument_spec={**CONNECTION_SPEC, **argument_spec}, **options)
    missing = missing_libraries()
    if missing:
        module.fail_json(msg=missing[0], exception=missing[1])
    return module


def client_from_module(module: AnsibleModule) -> _client.EnterpriseManager:
    """The client for the module's connection options, not yet logged on.

    :raises OptionError: one of them cannot be used.
    """
    said: set[str] = set()

    def warn(sentence: str) -> None:
        """A wait asks again and again, and may meet the same each time."""
        if sentence not in said:
            said.add(sentence)
            module.warn(sentence)

    return _client.EnterpriseManager(**{name: module.params[name] for name in CONNECTION_SPEC}, warn=warn)


def at_least(module: AnsibleModule, least: int, *names: str) -> None:
    """Make sure that these options are not smaller.

    :raises OptionError: one of them is.
    """
    for name in names:
        if module.params[name] < least:
            raise _errors.OptionError(name, module.params[name], f"Give a whole number of seconds, {least} or more.")


@contextmanager
def fail_on_error(module: AnsibleModule, known: Callable[[], dict[str, Any]] = dict) -> Iterator[None]:
    """Ends the module with ``fail_json`` on every error that the client and the facts raise; nothing is swallowed.

    :arg known: gives what a failure has to tell besides, such as ``changed``.
    """
    try:
        yield
    except _errors.OptionError as exc:
        module.fail_json(msg=str(exc), **known())
    except _errors.EmError as exc:
        error = {"kind": exc.kind, "status": exc.status, "message": exc.server_message}
        module.fail_json(msg=str(exc), error=error, **known())
    except KeyboardInterrupt as exc:
        module.fail_json(msg=str(exc) or "Interrupted.", **known())


def exit_with_facts(module: AnsibleModule, name: str, facts: list[dict[str, Any]], **result: Any) -> None:
    """``exit_json`` with a list of facts as ``name``, for lists of any length.

    ansible-core looks for secrets in each value of a result, and encodes each, in Python. For facts that takes longer than
    to read them from EM. Here they are encoded once and searched as one text, which then takes the place of a stand-in in
    what ansible-core prints. If a secret is in it, masking is left to ansible-core.
    """
    text = json.dumps(facts, separators=(",", ":"))
    # Encoding goes character by character, so what is part of a text is part of it afterwards too.
    if not any(json.dumps(str(secret))[1:-1] in text for secret in module.no_log_values):
        stand_in = os.urandom(16).hex()
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                module.exit_json(**result, **{name: stand_in})
        except SystemExit:
            before, dummy, after = printed.getvalue().partition(f'"{stand_in}"')
            if after:  # else a short secret was found in the stand-in, and masked
                sys.stdout.write(before + text + after)
                raise
    module.exit_json(**result, **{name: facts})
