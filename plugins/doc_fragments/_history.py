# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The options that name a history, and an Enterprise Manager in it."""

    DOCUMENTATION = r"""
options:
  store:
    description:
      - The history, as the path of a file (SQLite), or as V(postgresql://user@host/database), which needs the Python library psycopg.
      - The folder of a file must exist, and must not be on a network file system. A relative path starts at the working directory.
      - Do not put a password here; set O(store_password).
      - If not set, the value of the environment variable E(VEEAM_EM_STORE) is used. One of them is required to use the history.
    type: str
  store_password:
    description:
      - Password of the user in O(store). A file has none.
      - If not set, the value of the environment variable E(VEEAM_EM_STORE_PASSWORD) is used.
    type: str
seealso:
  - module: dr_runbook.veeam_em.failover_history
  - module: dr_runbook.veeam_em.failover_history_info
  - name: Guide to the history
    description: What is recorded, what it proves, retention, backup, and PostgreSQL.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/history.md
"""

    EM_NAMES = r"""
options:
  em_name:
    description:
      - Names of the Enterprise Managers whose records to read from the history, as M(dr_runbook.veeam_em.failover_history) recorded
        them. By default, all.
    type: list
    elements: str
"""

    SOURCE = r"""
options:
  source:
    description:
      - V(em) reads from Enterprise Manager. It requires O(url), O(username) and O(password).
      - V(history) reads from O(store) what M(dr_runbook.veeam_em.failover_history) has recorded. It requires O(store), sends no request
        and needs no connection option. The facts are those of the newest record of each session, with V(em_name) and V(seen_at), and with
        V(progress) null.
    type: str
    choices: [em, history]
    default: em
"""

    PLUGIN = r"""
options:
  store:
    env:
      - name: VEEAM_EM_STORE
    vars:
      - name: veeam_em_store
  store_password:
    env:
      - name: VEEAM_EM_STORE_PASSWORD
    vars:
      - name: veeam_em_store_password
"""
