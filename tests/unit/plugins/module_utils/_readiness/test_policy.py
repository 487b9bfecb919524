# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which policy a plan has, and what is no policy."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.policy import policy_of, read_policies

PLAN = {"name": "Acme [1]", "tenant": {"id": "t", "name": "Acme"}, "backup_server": {"id": "s", "name": "vbr01"}}


def chosen(*policies, plan=None):
    """The number of the policy that wins."""
    read = read_policies({"plans": list(policies)})
    winner = policy_of(PLAN if plan is None else plan, read)
    return None if winner is None else next(place for place, policy in enumerate(read) if policy is winner)


@pytest.mark.parametrize(
    ("policies", "winner"),
    [
        ([], None),
        ([{"match": "Acme*"}, {"match": "*"}], 0),
        ([{"match": "*"}, {"match": "Acme*"}], 0),  # the first, not the longest
        ([{"match": "*"}, {"match": "Acme [1]"}], 1),  # the exact name, which is no pattern
        ([{"match": "Acme [1]", "rto": "1h"}, {"match": "Acme [1]"}], 0),
        ([{"match": "acme*"}], None),
        ([{"match": "Acme [1]", "tenant": "Other"}, {"match": "*"}], 1),
        ([{"match": "*", "tenant": "A*"}], 0),
        ([{"match": "*", "tenant": "a*"}], None),
        ([{"match": "*", "backup_server": "vbr02"}, {"match": "*", "backup_server": "vbr0[1-3]"}], 1),
    ],
)
def test_which_one_wins(policies, winner):
    assert chosen(*policies) == winner


def test_plans_of_which_little_is_known():
    plan = {"name": None, "tenant": None, "backup_server": None}
    assert chosen({"match": "*"}, plan=plan) == 0
    assert chosen({"match": "*", "tenant": "A*"}, plan=plan) is None


def test_values():
    given = {
        "match": "*",
        "test_every": "13w",
        "grace": "0d",
        "warn_before": 0,
        "retest_within": "30d",
        "rto": 60,
        "rpo": "1h30m",
        "tenant": None,
    }
    (policy,) = read_policies({"plans": [{**given, "critical_vms": ["b", "a", "b"], "allow_warnings": "False"}]})
    assert (policy.test_every, policy.grace, policy.warn_before, policy.rto, policy.rpo) == (7862400, 0, 0, 60, 5400)
    assert (policy.tenant, policy.critical_vms, policy.allow_warnings) == (None, ["a", "b"], False)
    assert policy.retest_within == 30 * 86400


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (None, "policy: null cannot be used. Give a dictionary with plans"),
        ([], "policy: a list of 0 cannot be used. Give a dictionary with plans"),
        ({"plans": "*"}, "policy: a dictionary cannot be used. Give a dictionary with plans, a list"),
        ({"plans": [], "plan": []}, "policy: 'plan' cannot be used. Its only key is plans."),
        ({"plans": ["*"]}, "policy[plans][0]: '*' cannot be used. Give a dictionary with match"),
        ({"plans": [{"match": "*"}, {"test_every": "1d"}]}, "policy[plans][1]: a dictionary cannot be used."),
        (
            {"plans": [{"match": "*", "test_evry": "1d"}]},
            "policy[plans][0]: 'test_evry' cannot be used. Keys are: match, tenant,",
        ),
        ({"plans": [{"match": 7}]}, "policy[plans][0][match]: 7 cannot be used. It is not a text."),
        ({"plans": [{"match": "*", "tenant": ""}]}, "policy[plans][0][tenant]: '' cannot be used. Give a name"),
        (
            {"plans": [{"match": "*", "test_every": "quarterly"}]},
            "policy[plans][0][test_every]: 'quarterly' cannot be used. Give seconds",
        ),
        ({"plans": [{"match": "*", "test_every": 0}]}, "policy[plans][0][test_every]: 0 cannot be used."),
        ({"plans": [{"match": "*", "retest_within": 0}]}, "policy[plans][0][retest_within]: 0 cannot be used."),
        (
            {"plans": [{"match": "*", "test_every": "999999d"}]},
            "policy[plans][0][test_every]: '999999d' cannot be used.",
        ),
        ({"plans": [{"match": "*", "grace": "999999d"}]}, "policy[plans][0][grace]: '999999d' cannot be used."),
        ({"plans": [{"match": "*", "grace": -1}]}, "policy[plans][0][grace]: -1 cannot be used."),
        ({"plans": [{"match": "*", "warn_before": False}]}, "policy[plans][0][warn_before]: False cannot be used."),
        (
            {"plans": [{"match": "*", "critical_vms": [7]}]},
            "policy[plans][0][critical_vms]: 7 cannot be used. It is not a text.",
        ),
        (
            {"plans": [{"match": "*", "critical_vms": {"a": 1}}]},
            "policy[plans][0][critical_vms]: a dictionary cannot be used.",
        ),
        (
            {"plans": [{"match": "*", "allow_warnings": "perhaps"}]},
            "policy[plans][0][allow_warnings]: 'perhaps' cannot be used.",
        ),
    ],
)
def test_what_is_no_policy(policy, sentence):
    with pytest.raises(OptionError) as raised:
        read_policies(policy)
    assert str(raised.value).startswith(sentence)
