// Copyright (c) 2026 dr_runbook contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Cells of tables with three columns or more get the text of their heading, which site.css shows on narrow screens.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.docutils:not(.ansible-option-table)").forEach((table) => {
    const headings = [...table.querySelectorAll("thead th")].map((heading) => heading.textContent.trim());
    if (headings.length < 3) return;
    table.classList.add("wide");
    table.querySelectorAll("tbody tr").forEach((row) => {
      [...row.cells].forEach((cell, column) => {
        if (column > 0 && headings[column]) cell.dataset.label = headings[column];
      });
    });
  });
});
