# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clock of everything that waits for a run. Call it as ``clock.sleep(...)``, so that a test can replace it in one place."""

from __future__ import annotations

from time import monotonic, sleep

__all__ = ("monotonic", "sleep")
