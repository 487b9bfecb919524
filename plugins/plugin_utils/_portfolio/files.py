# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._api.redaction import single_line, truncate
from .._document.text import canonical_json, count_of, sha256, slug, stamp
from .page import page_html
from .record import make_record, tenants_of
from .tables import WORDS, is_next, minute, plans_csv, vms_csv


def make(readiness: Any, history: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """
    :arg readiness: the result of the filter ``failover_readiness`` for ``history``, that of ``failover_history_info``.
    :arg options: those of the filter ``failover_portfolio``, by name.
    :returns: see RETURN of the filter.
    :raises OptionError: something given cannot be used.
    """
    record = make_record(readiness, history, options)
    tenant = record["tenant"]
    name = f"{stamp(record['now'])}-portfolio"
    if tenant is not None:
        name += f"-{slug(tenant, 'tenant')}-{sha256(tenant)[:8]}"
    texts = {
        "html": page_html(record, name),
        "csv": plans_csv(record),
        "vms.csv": vms_csv(record),
        "json": canonical_json(record),
    }
    files = [
        {"kind": kind, "name": f"{name}.{kind}", "content": text, "sha256": sha256(text)}
        for kind, text in texts.items()
    ]
    made = {"name": name, "files": files, "summary": record["summary"], "line": _line(record)}
    return made if tenant is not None else {**made, "tenants": tenants_of(record["plans"])}


def _line(record: Mapping[str, Any]) -> str:
    """All in one line."""
    plans, summary = record["plans"], record["summary"]
    counts = [f"{summary[status]} {word.lower()}" for status, word in WORDS.items() if summary[status]]
    of_tenant = f" of {_name(record['tenant'])}" if record["tenant"] else ""
    text = f"{count_of(len(plans), 'plan')}{of_tenant} at {minute(record['now'])} UTC"
    text += f": {', '.join(counts)}." if counts else "."
    following = next(filter(is_next, plans), None)
    return f"{text} Test next: {_name(following['name'] or 'plan without a name')}." if following else text


def _name(name: str) -> str:
    return truncate(single_line(name), 60)
