# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._api.errors import OptionError
from .._document.text import canonical_json, sha256
from .after_run import after_run
from .junit import junit_text
from .manifest import chain_ends, report_name
from .page import page_html
from .record import make_record
from .tables import csv_text, vm_rows

EXTENSIONS = {"junit": "xml"}
"""Of the kinds of files that are not called like their extension."""


def make(session: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """
    :arg session: one element of ``failover_sessions``.
    :arg options: those of the filter ``failover_report``, by name.
    :returns: see RETURN of the filter.
    :raises OptionError: something given cannot be used.
    """
    record = make_record(session, options)
    vms = vm_rows(record)
    record["after_run"] = after_run(record, vms)
    if options.get("files") is False:
        return {"after_run": record["after_run"]}
    manifests = options.get("manifests") or {}
    if not isinstance(manifests, Mapping):
        accepted = "Give the text of each manifest by the name of its file."
        raise OptionError("manifests", manifests, accepted)
    name = report_name(record)
    previous = record["previous_manifests"] = chain_ends(manifests, f"{name}.sha256")

    record["report_id"] = name

    def file(kind: str, content: str) -> dict[str, str]:
        extension = EXTENSIONS.get(kind, kind)
        return {"kind": kind, "name": f"{name}.{extension}", "content": content, "sha256": sha256(content)}

    texts = {
        "html": page_html(record, name, vms),
        "json": canonical_json(record),
        "csv": csv_text(record, vms),
        "junit": junit_text(record, name, vms),
    }
    files = [file(kind, text) for kind, text in texts.items()]
    files.append(file("sha256", "".join(f"{item['sha256']}  {item['name']}\n" for item in [*previous, *files])))
    return {"name": name, "files": files, "previous_manifests": previous, "after_run": record["after_run"]}
