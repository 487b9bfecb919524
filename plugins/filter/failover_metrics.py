# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_metrics.yml.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.utils.unsafe_proxy import wrap_var

from ..plugin_utils._metrics import textfile
from ..plugin_utils._plain import fail_as_filter, whole


def failover_metrics(readiness: Any, history: Any = None) -> str:
    """The text of the file. It is marked as text of others, since names in it may look like templates."""
    with fail_as_filter("failover_metrics"):
        return wrap_var(textfile(whole(readiness), whole(history)))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_metrics": failover_metrics}
