# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How old the data of Enterprise Manager may be, shared by module, lookup and inventory."""

    DOCUMENTATION = r"""
options:
  max_data_age:
    description:
      - Maximum age of the data that Enterprise Manager (EM) shows, which is a copy of its backup servers' data, in seconds, minutes,
        hours, days or weeks, such as V(20m) or V(2h). If the data is older, or its age is not known, that is an error, whose kind is
        V(stale). If not set, the age is not read.
      - The age counts from the start of EM's newest data collection job that completed successfully, by EM's own clock. It is read before
        the sessions, with one request more.
      - EM collects data every 15 minutes by default, and a collection takes some time, so shorter ages need a shorter schedule in EM or
        M(dr_runbook.veeam_em.data_collection) before.
      - It needs the role Portal Administrator. Veeam names no other role that may read EM's own jobs.
    type: str
"""
