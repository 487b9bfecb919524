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
      - A long list costs few requests. Ids that EM does not know are no error.
      - V(null) is the same as leaving the option out, and selects all sessions. So check a variable that may be null before you give it here.
    type: list
    elements: str
  name:
    description:
      - Sessions of the plans with these names, exactly as EM shows them. A name, or a list of names.
      - Unlike other lists, a single text is not split at commas, since plan names may contain them.
      - Case and spaces count. A name without sessions is no error, so a misspelt one gives an empty answer.
        Check that the answer is not empty where a session must be there.
    type: raw
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
    description: Sessions with one of these results. V(None), in quotes or not, means that there is no result (yet).
    type: list
    elements: str
    choices:
      - "None"
      - Success
      - Warning
      - Failed
  backup_server:
    description: Sessions run by the backup servers with these names, exactly as EM shows them.
    type: list
    elements: str
  created_after:
    description:
      - Sessions created at this moment or later.
      - A time in ISO 8601 with zone, such as V(2026-03-01T00:00:00Z), best in quotes, or an age in seconds, minutes, hours,
        days or weeks, such as V(90m), V(24h) or V(7d). All ages of a run count from the same moment.
    type: str
  created_before:
    description: Sessions created before this moment, given as in O(created_after).
    type: str
  ended_after:
    description: Sessions that ended at this moment or later, given as in O(created_after). A running session has not ended.
    type: str
  ended_before:
    description: Sessions that ended before this moment, given as in O(created_after). A running session has not ended.
    type: str
  latest_per_plan:
    description:
      - Only sessions that are the newest of their plan (plans are told apart by name and backup server).
      - As with all criteria, the others must hold too. So with O(result=Failed) it selects the plans whose newest run failed, not the newest
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
    description: At most so many sessions, counted in O(sort_order) after everything else. If it is not set, all are returned.
    type: int
  page_size:
    description:
      - How many sessions to ask for in one request, from 1 to 1000. All pages are read.
      - Where there are more pages, up to three are asked for ahead while one is worked on, so at most four requests are under way at once.
      - A reply of more than 64 MiB or of more than 3 million XML tags and attributes is refused. 1000 sessions of 10 VMs take about 10 MiB.
    type: int
    default: 100
notes:
  - All criteria must hold; several values in one criterion are alternatives. An empty list is refused, since it selects nothing.
"""
