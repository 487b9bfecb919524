# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_verdict.yml.

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._verdict.evaluate import evaluate
from ..plugin_utils._plain import fail_as_filter, plain


def failover_verdict(session: Any, /, *args: Any, **targets: Any) -> dict[str, Any]:
    """The verdict on a session: plain data in which texts of the server are marked as no templates."""
    if args:
        raise AnsibleFilterError("failover_verdict: Give each target with its name, such as rto='1h'.")
    with fail_as_filter("failover_verdict"):
        given = {name: plain(name, value) for name, value in targets.items()}
        source, problems = given.pop("session_source", None), given.pop("problems", None)
        allow_warnings = given.get("allow_warnings")
        if isinstance(allow_warnings, str):  # as extra variables are
            with suppress(TypeError):
                given["allow_warnings"] = boolean(allow_warnings, strict=True)
        return wrap_var(evaluate(plain("session", session), given, source, problems))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_verdict": failover_verdict}
