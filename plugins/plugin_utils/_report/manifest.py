# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of a report's files, and the manifests, which list the SHA-256 of each file in the format of ``sha256sum``.

A manifest also lists each earlier manifest that no other one lists yet: that is the chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._document.text import canonical_json, sha256, slug, stamp

_MANIFEST = re.compile(r"(?:\d{8}T\d{6}Z|undated)-[a-z0-9-]+-[0-9a-f]{8}\.sha256")
_ENTRY = re.compile(r"([0-9a-f]{64})  (\S+)")


def report_name(record: Mapping[str, Any]) -> str:
    """``<start of the run>-<plan>-<first 8 digits of the record's SHA-256>``: it sorts by time.

    Other facts make other files, so that no report is ever overwritten by another one.
    """
    session = record["session"]
    digest = sha256(canonical_json(record))[:8]
    return f"{stamp(session.get('creation_time'))}-{slug(session.get('name'), 'plan')}-{digest}"


def chain_ends(manifests: Mapping[str, str], own: str) -> list[dict[str, str]]:
    """The manifests that the manifest ``own`` has to list, sorted by name, each with ``name`` and ``sha256``.

    They are those that no other one lists. Mostly that is one. Where two reports were made at the same moment there are
    two, and the next report ties them together again. A report that is there already keeps what it has listed.
    """
    listed = {name: _listed(text) for name, text in sorted(manifests.items()) if _MANIFEST.fullmatch(name)}
    if own in listed:
        return listed[own]
    covered = {item["name"] for items in listed.values() for item in items}
    return [{"name": name, "sha256": sha256(manifests[name])} for name in listed if name not in covered]


def _listed(manifest: str) -> list[dict[str, str]]:
    """The earlier manifests that this one lists."""
    entries = (_ENTRY.fullmatch(line) for line in manifest.split("\n"))
    return [{"name": entry[2], "sha256": entry[1]} for entry in entries if entry and _MANIFEST.fullmatch(entry[2])]
