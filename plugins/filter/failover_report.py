# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_report.yml.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.utils.unsafe_proxy import wrap_var

from ..plugin_utils._plain import check_named, fail_as_filter
from ..plugin_utils._report.context import CONTEXT
from ..plugin_utils._report.files import make

OPTIONS = ("verdict", "plan", "policy", "dates", "manifests", "files", *CONTEXT)


def failover_report(session: Any, /, *args: Any, **options: Any) -> dict[str, Any]:
    """The files of the report. They are marked as text of others, since names in them may look like templates."""
    check_named("failover_report", args, options, OPTIONS)
    with fail_as_filter("failover_report"):
        return wrap_var(make(session, options))


class FilterModule:
    """Filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_report": failover_report}
