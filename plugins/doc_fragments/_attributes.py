# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How the modules behave, for the table of attributes in their documentation."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/dr_runbook.veeam_em.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - dr_runbook.veeam_em.all
  check_mode:
    description: Can run in C(check_mode) and return a prediction of what would change, without changing anything.
  diff_mode:
    description: Returns details on what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row with nothing else changing, the second run reports no change.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Only reads, and returns the same in check mode.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
    details: Changes nothing.
"""
