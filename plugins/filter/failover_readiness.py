# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_readiness.yml.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._readiness.status import readiness
from ..plugin_utils._plain import fail_as_filter, plain, whole


def failover_readiness(history: Any, policy: Any = None, now: Any = None) -> dict[str, Any]:
    """How ready the plans are: plain data in which texts of the server are marked as no templates."""
    with fail_as_filter("failover_readiness"):
        # The history may have millions of values, and comes from a module: it is only checked where it is used.
        return wrap_var(readiness(whole(history), plain("policy", policy), plain("now", now)))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_readiness": failover_readiness}
