# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The criteria that select cloud failover sessions, shared by module, lookup and inventory."""

    DOCUMENTATION = r"""
options:
  id:
    description:
      - Sessions with these ids, each as GUID, as URN or as Href.
      - A long list takes few requests. Ids that EM does not know are not an error.
      - V(null) is the same as leaving the option out and selects all sessions, so check a variable that may be null before you use it here.
    type: list
    elements: str
  name:
    description:
      - Sessions of the plans with these names, exactly as EM shows them. A name, or a list of names.
      - A single text is not split at commas, unlike other lists, since plan names may contain them.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
      - Case and spaces count. A name without sessions is not an error, so a misspelt name returns no sessions.
        Check that the answer is not empty if there must be a session.
    type: raw
    aliases: [plan]
  state:
    description: Sessions in one of these states. Only V(Stopped) sessions are finished.
    type: list
    elements: str
    choices:
      - Starting
      - Working
      - Stopping
      - Stopped
  result:
    description: Sessions with one of these results. V(None), with or without quotes, means that there is no result (yet).
    type: list
    elements: str
    choices:
      - "None"
      - Success
      - Warning
      - Failed
  backup_server:
    description: Sessions run by the backup servers with these names, exactly as EM shows them, in the format of O(name).
    type: raw
  created_after:
    description:
      - Sessions created at this time or later.
      - ISO 8601 with a time zone, such as V(2026-03-01T00:00:00Z), best in quotes, or an age in seconds, minutes, hours,
        days or weeks, such as V(90m), V(24h) or V(7d). All ages count from the same time.
    type: str
  created_before:
    description: Sessions created before this time, in the format of O(created_after).
    type: str
  ended_after:
    description: Sessions that ended at this time or later, in the format of O(created_after). A running session has not ended.
    type: str
  ended_before:
    description: Sessions that ended before this time, in the format of O(created_after). A running session has not ended.
    type: str
  latest_per_plan:
    description:
      - Only the newest session of each plan. A plan is a name on a backup server.
      - The session must match the other criteria, too. So with O(result=Failed) you get the plans whose newest run failed, not the newest
        failed run of each plan, and with O(created_before=14d) the plans that have sessions, but none in the last 14 days.
    type: bool
    default: false
  sort_order:
    description: Order of the sessions by creation time.
    type: str
    choices:
      - descending
      - ascending
    default: descending
  limit:
    description: Maximum number of sessions to return, in O(sort_order), after all other criteria. By default, all are returned.
    type: int
  page_size:
    description:
      - Number of sessions per request, from 1 to 1000. All pages are read.
      - Up to three pages are prefetched while one is processed, so at most four requests are in flight.
      - A response of more than 64 MiB, or of more than 3 million XML tags and attributes, is refused. 1000 sessions of 10 VMs take about 10 MiB.
    type: int
    default: 100
notes:
  - A session must match all criteria. Several values in one criterion are alternatives. An empty list is refused, since it matches nothing.
"""
