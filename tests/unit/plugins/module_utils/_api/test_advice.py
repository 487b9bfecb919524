# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do, by the verifier's code, by OpenSSL's reason and by port. Real certificates: tests/unit/trust/test_tls.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import advice

REPO = Path(__file__).resolve().parents[5]
DEFAULT = advice.certificate_hint(1, False)


@pytest.mark.parametrize("code", [2, 18, 19, 20, 21])
def test_with_a_ca_path_it_is_not_asked_for(code):
    assert advice.certificate_hint(code, False) != advice.certificate_hint(code, True)
    assert re.search(r"(give the file|that signed it) as ca_path", advice.certificate_hint(code, False))
    assert re.search("put .* into|lacks", advice.certificate_hint(code, True), re.IGNORECASE)


@pytest.mark.parametrize("code", [9, 10, 26, *range(66, 69), *range(76, 95)])
def test_another_cause_does_not_ask_for_a_ca_path(code):
    hint = advice.certificate_hint(code, False)
    assert hint != DEFAULT
    assert hint == advice.certificate_hint(code, True)
    assert "Give" not in hint
    assert ("Python before 3.13" in hint) == (80 <= code <= 94)


def test_a_code_that_is_not_known_has_a_hint_too():
    assert "openssl s_client" in DEFAULT
    assert advice.certificate_hint(None, True) == DEFAULT


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://em", "no port, so 443 .* 9398 .https. or 9399 .http."),
        ("http://em", "no port, so 80 .* 9398"),
        ("https://em:9399", "9399 may be another service: .* 9398 .https."),
        ("http://em:9398", "9398 may be another service: .* 9399 .http."),
        ("http://em:9399", "usually speaks https, on port 9398"),
        ("https://em:443", "443 may be another service: .* 9398"),
        ("https://em:9443", "9443 may be another service: .* 9398"),
        ("https://[fe80::1]:9419", "9419 may be another service: .* 9398"),
        ("https://em:9398", "^$"),
    ],
)
def test_ports(url, words):
    assert re.search(words, advice.port_hint(f"{url}/api/sessionMngr/?v=latest"))


def test_to_switch_validation_off_is_never_the_advice():
    """In no sentence of the code, and in a guide only where its price is named."""
    for path in REPO.glob("plugins/**/*.py"):
        sentences = path.read_text(encoding="utf-8").rpartition('r"""')[2]
        assert not re.search(r"\"[^\"\n]*validate_certs[^\"\n]*\b(false|no)\b", sentences, re.IGNORECASE), path
    guides = [
        REPO / "README.md",
        *REPO.glob("docs/*.md"),
        *REPO.glob("playbooks/**/*.yml"),
        *REPO.glob("roles/**/*.yml"),
    ]
    for path in guides:
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"validate_certs\W+(false|no)\b", line, re.IGNORECASE):
                assert re.search("only in a lab|gets the password|refused", line), f"{path}: {line}"
