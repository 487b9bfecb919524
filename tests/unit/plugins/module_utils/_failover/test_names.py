# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that people write for one that EM has."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.names import MAX_NAME, did_you_mean

ALIKE = "differs only in blanks, case or Unicode form: give the id, or the name exactly."


@pytest.mark.parametrize(
    ("wanted", "there", "shown"),
    [
        ("ABC DR", "ABC\u00a0DR", r"'ABC\xa0DR'"),
        ("ABC\u00a0DR", "ABC DR", "'ABC DR'"),
        ("ABC DR", "ABC\u2003DR", r"'ABC\u2003DR'"),
        ("ABC DR", "ABC  DR ", "'ABC  DR '"),
        ("ABC DR", "ABCDR", "'ABCDR'"),
        ("ABC DR", "ABC\u200b DR", r"'ABC\u200b DR'"),
        ("ABC DR", "\ufeffABC DR", r"'\ufeffABC DR'"),
        ("ABC DR", "ABC\tDR", r"'ABC\tDR'"),
        ("ABC DR", "abc dr", "'abc dr'"),
        ("ABC DR", "\uff21BC DR", r"'\uff21BC DR'"),
        ("M\u00fcnchen", "Mu\u0308nchen", r"'Mu\u0308nchen'"),
        ("M\u00fcnchen", "M\u00dcNCHEN", "'M\u00dcNCHEN'"),
        ("STRASSE", "stra\u00dfe", "'stra\u00dfe'"),
        ("\u202eABC", "ABC", "'ABC'"),
    ],
)
def test_a_name_that_looks_the_same(wanted, there, shown):
    said = did_you_mean(wanted, {there: "ID", "Another": "OTHER"})
    assert said == f"{shown} (id ID) {ALIKE}"
    assert said.isprintable()
    assert did_you_mean(wanted, {there: "", "Another": ""}) == f"{shown} {ALIKE.replace('the id, or ', '')}"


@pytest.mark.parametrize(
    ("wanted", "there", "said"),
    [
        ("X", "X Plan", "Did you mean 'X Plan'?"),
        ("X", "A Plan X", ""),  # one letter is in too many names
        ("Acme", "Acme Plan", "Did you mean 'Acme Plan'?"),
        ("Acme Pln", "Acme Plan", "Did you mean 'Acme Plan'?"),
        ("ABC Company Failover", "ABC Company Failover Plan", "Did you mean 'ABC Company Failover Plan'?"),
        ("ABC - DR", "ABC \u2013 DR", "Did you mean 'ABC \u2013 DR'?"),
        ("ABC", "A Big Company ABC\u00a0DR site", r"Did you mean 'A Big Company ABC\xa0DR site'?"),
        ("Acme", "Borealis", ""),
        ("Acme", "Acme", ""),
    ],
)
def test_a_name_that_is_near(wanted, there, said):
    assert did_you_mean(wanted, {there: "ID"}) == said


def test_of_several_names_two_are_shown():
    assert did_you_mean("Plan", {"Plan 1": "A", "Plan 2": "B", "Plan 3": "C"}).count("'Plan ") == 2
    assert "and 1 more differs" in did_you_mean("plan", {"PLAN": "A", "Plan": "B", "pLAN": "C"})
    assert did_you_mean("Plan", {}) == ""


def test_a_long_hostile_name_is_cut():
    said = did_you_mean("Acme", {"Acme\n\x1b[31m" + "x" * 100_000: "ID"})
    assert said.startswith(r"Did you mean 'Acme\n\x1b[31mxxx")
    assert len(said) < MAX_NAME + 20
