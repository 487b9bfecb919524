# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that modules and plugins share, as argument specs."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound, env_fallback

from ._api.options import is_set
from ._failover.criteria import SORT_ORDERS
from ._failover.facts import RESULTS, STATES


def environment(variable: str) -> str:
    """As ``env_fallback``, except that an empty variable is not set."""
    value: str = env_fallback(variable)
    if not is_set(value):
        raise AnsibleFallbackNotFound
    return value


CONNECTION_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True, "fallback": (environment, ["VEEAM_EM_URL"])},
    "username": {"type": "str", "required": True, "fallback": (environment, ["VEEAM_EM_USERNAME"])},
    "password": {"type": "str", "required": True, "no_log": True, "fallback": (environment, ["VEEAM_EM_PASSWORD"])},
    "validate_certs": {"type": "bool", "default": True, "fallback": (environment, ["VEEAM_EM_VALIDATE_CERTS"])},
    # Not of type path: in plugins, ansible-core turns an empty one, which means not set, into the current folder.
    "ca_path": {"type": "str", "fallback": (environment, ["VEEAM_EM_CA_PATH"])},
    "timeout": {"type": "int", "default": 30, "fallback": (environment, ["VEEAM_EM_TIMEOUT"])},
    "retries": {"type": "int", "default": 3, "fallback": (environment, ["VEEAM_EM_RETRIES"])},
    "api_version": {"type": "str", "default": "latest", "fallback": (environment, ["VEEAM_EM_API_VERSION"])},
}
"""Fragment ``_connection``."""

OPTIONAL_CONNECTION_SPEC: dict[str, Any] = {name: {**spec, "required": False} for name, spec in CONNECTION_SPEC.items()}
"""The connection options of what can do without EM."""

STORE_SPEC: dict[str, Any] = {
    "store": {"type": "str", "fallback": (environment, ["VEEAM_EM_STORE"])},
    "store_password": {"type": "str", "no_log": True, "fallback": (environment, ["VEEAM_EM_STORE_PASSWORD"])},
}
"""Fragment ``_history``."""

EM_NAMES_SPEC: dict[str, Any] = {"em_name": {"type": "list", "elements": "str"}}
"""Fragment ``_history.em_names``."""

SOURCE_SPEC: dict[str, Any] = {"source": {"type": "str", "choices": ["em", "history"], "default": "em"}}
"""Fragment ``_history.source``."""

SESSION_CRITERIA_SPEC: dict[str, Any] = {
    "id": {"type": "list", "elements": "str"},
    # Names are raw: a text would be made of a number, and a list split at commas.
    "name": {"type": "raw", "aliases": ["plan"]},
    "state": {"type": "list", "elements": "str", "choices": list(STATES)},
    "result": {"type": "list", "elements": "str", "choices": list(RESULTS)},
    "backup_server": {"type": "raw"},
    "created_after": {"type": "str"},
    "created_before": {"type": "str"},
    "ended_after": {"type": "str"},
    "ended_before": {"type": "str"},
    "latest_per_plan": {"type": "bool", "default": False},
    "sort_order": {"type": "str", "choices": list(SORT_ORDERS), "default": "descending"},
    "limit": {"type": "int"},
    "page_size": {"type": "int", "default": 100},
}
"""Fragment ``_session_criteria``."""

MAX_DATA_AGE_SPEC: dict[str, Any] = {"max_data_age": {"type": "str"}}
"""Fragment ``_data_age``."""
