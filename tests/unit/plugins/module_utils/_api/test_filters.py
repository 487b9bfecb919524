# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter expressions: how terms are joined, and what fits into one URL."""

from __future__ import annotations

import uuid

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.filters import (
    MAX_URL,
    OTHER_PARAMETERS,
    all_of,
    all_that_fit,
    any_of,
    batches,
    can_be_quoted,
    fits_in_url,
    one_of,
    quoted,
)

BASE = "https://em.example.com:9398"


def test_alternatives_and_conjunctions_are_bracketed():
    assert any_of(["a"]) == all_of(["a"]) == "a"
    assert any_of(["a", "b"]) == "(a,b)"
    assert all_of([any_of(["a", "b"]), "c"]) == "((a,b);c)"


@pytest.mark.parametrize(
    "text", ["R&D <Plan> 50%", "O'Brien; Sons, (Ltd)", "two  spaces", "plan-\u00fcn\u00efcode", "back\\slash"]
)
def test_what_can_be_quoted(text):
    assert can_be_quoted(text)
    assert one_of("Name", [text]) == [f'Name=="{text}"']


@pytest.mark.parametrize("text", ['a"b', "a\nb", "a\x00b"])
def test_one_alternative_that_cannot_be_sent_leaves_out_all(text):
    assert not can_be_quoted(text)
    assert one_of("Name", [text, "plain"]) == []


def test_the_longest_url_is_exact():
    longest = MAX_URL - OTHER_PARAMETERS - len(BASE)
    assert fits_in_url(BASE, "a" * longest)
    assert not fits_in_url(BASE, "a" * (longest + 1))
    assert fits_in_url(BASE, "=" * (longest // 3))
    assert not fits_in_url(BASE, "=" * (longest // 3 + 1))


def test_the_longest_terms_are_left_out():
    long = "a" * MAX_URL
    assert all_that_fit(BASE, []) is all_that_fit(BASE, [long]) is None
    assert all_that_fit(BASE, [long, "bb", "c"]) == "(c;bb)"


def test_batches_keep_each_term_once_and_within_the_limit():
    terms = [quoted("UID", "==", f"urn:veeam:CloudFailoverSession:{uuid.UUID(int=number)}") for number in range(500)]
    cut = list(batches(BASE, terms))
    assert [term for batch in cut for term in batch] == terms
    assert all(fits_in_url(BASE, any_of(batch)) for batch in cut)
    assert 4 < len(cut) < 9
    assert list(batches(BASE, [])) == []
