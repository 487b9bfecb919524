# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plans were judged from: the looks at each Enterprise Manager, the times in which nobody looked, the head of the chain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...module_utils._failover.times import format_time, parse_time
from ...module_utils._history.bodies import LISTED, reaches_back_to
from .._plain import plain


def evidence_of(
    history: Mapping[str, Any],
    plans: Sequence[Mapping[str, Any]],
    only: Collection[Any] | None,
    is_private: bool,
    until: str,
) -> tuple[dict[str, Any], dict[Any, int]]:
    """The facts of the record, and the places of the EMs in their list, by name.

    :arg only: the names of the EMs that matter; None for all.
    :arg is_private: their names are left out.
    :arg until: a later look was made while EM's clock was ahead.
    """
    looks, gaps = plain("history[looks]", history.get("looks") or []), plain("history[gaps]", history.get("gaps") or [])
    looks = [look for look in looks if look["seen_at"] <= until]
    gaps = [gap for gap in gaps if gap["to"] <= until]
    first: dict[Any, str] = {}
    for each in (*history["failover_sessions"], *history["failover_plans"], *looks):
        for seen in (each.get("seen_at"), *(version.get("seen_at") for version in each.get("versions") or ())):
            if seen:
                first[each.get("em_name")] = min(seen, first.get(each.get("em_name"), seen))
    names = {plan["em_name"] for plan in plans} | ({look.get("em_name") for look in looks} if only is None else set())
    ordered = sorted(names, key=lambda name: (name is not None, name or ""))
    ems = []
    for place, name in enumerate(ordered):
        own = [look for look in looks if look.get("em_name") == name]
        look: Mapping[str, Any] = max(own, key=lambda look: str(look["seen_at"]), default={})
        label = f"Enterprise Manager {place + 1}" if len(ordered) > 1 else "Enterprise Manager"
        ems.append(
            {
                "name": None if is_private else name,
                "label": label if is_private or name is None else name,
                "looked_at": look.get("seen_at"),
                "collected_at": look.get("collected_at"),
                "missing": sorted(look.get("missing") or []),
                "seen_since": str(reaches_back_to(first[name], None)) if look and name in first else None,
                "gaps": [{key: gap[key] for key in ("from", "to")} for gap in gaps if gap.get("em_name") == name],
            }
        )
    head = plain("history[head]", history.get("head")) or {}
    facts = {
        "ems": ems,
        "head": {key: head.get(key) for key in ("sequence", "hash")} if head else None,
        "verified": history.get("verified") if history.get("verified") in (True, False) else None,
    }
    return facts, {name: place for place, name in enumerate(ordered)}


def blind_times(em: Mapping[str, Any], now: str) -> list[tuple[str, str]]:
    """The times, from and to, in which runs may have been without anybody seeing them."""
    if em["seen_since"] is None:
        return [("", now)]
    looked = parse_time(em["looked_at"])
    blind = [("", em["seen_since"]), *((gap["from"], gap["to"]) for gap in em["gaps"])]
    if looked and (format_time(looked + LISTED) or "") < now:
        blind.append((em["looked_at"], now))
    return blind
