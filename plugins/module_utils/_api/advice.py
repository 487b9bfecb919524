# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a certificate that was refused, a TLS handshake that failed, and a port that is not EM's."""

from __future__ import annotations

from .options import split_url
from .redaction import some_of

PORTS = {"https": 9398, "http": 9399}
"""Of EM's REST API, as installed (docs/evidence.md, "Requests in general")."""
DEFAULT_PORTS = {"https": 443, "http": 80}

# OpenSSL's X509_V_ERR_* (x509_vfy.h), as ssl.SSLCertVerificationError.verify_code. Those from 80 on come from
# X509_V_FLAG_X509_STRICT, which Python sets from 3.13 on.
OTHER_HOST = frozenset({62, 64})
_SELF_SIGNED = 18
_NO_ISSUER = frozenset({2, 19, 20, 21, 27, 30, 31})
_STRICT = range(80, 95)

_NEW_CA = (
    "The certificate of the CA (the one in ca_path, or an intermediate one) is not made as RFC 5280 demands: critical "
    "basicConstraints with CA:TRUE, keyUsage with keyCertSign, subjectKeyIdentifier. Have the CA issued again, and sign "
    "EM's certificate with it."
)
_NEW_CERTIFICATE = (
    "The certificate is not made as RFC 5280 demands. Have its CA issue a new one for the EM server, with "
    "authorityKeyIdentifier and subjectAltName."
)
_STRONGER = "Have it, or that of its CA, issued again with an RSA key of 2048 bits or more and a SHA-256 signature."
_BY_CODE = (
    ({9}, "Check the clock of this machine, then from when on the certificate is valid."),
    ({10}, "Renew it on the EM server (or its CA's, if that one has expired), and check the clock of this machine."),
    ({26}, "Have its CA issue a new one for the EM server whose extendedKeyUsage, if there is one, has serverAuth."),
    ({66, 67, 68, 76, 77, 78}, _STRONGER),
    ({24, 32, 37, 79, 80, 81, 82, 86, 89, 92}, _NEW_CA),
    ({83, 84, 85, 87, 88, 90, 91, 93, 94}, _NEW_CERTIFICATE),
)


def certificate_hint(code: int | None, ca_given: bool) -> str:
    """What to do about a certificate that was refused with this code of OpenSSL, save for :data:`OTHER_HOST`.

    :arg ca_given: whether there is a ``ca_path``.
    """
    if code == _SELF_SIGNED:
        if ca_given:
            return "It is self-signed, and ca_path does not hold it; maybe EM's certificate was replaced. Put the new one into ca_path."
        return "It is self-signed: save it to a file, after a check of its fingerprint, and give the file as ca_path."
    if code in _NO_ISSUER:
        if ca_given:
            return (
                "ca_path lacks a certificate on the way to its CA: add that of the CA that signed it, and the "
                "intermediate ones that the server does not send."
            )
        return "Give the certificate of the CA that signed it as ca_path, with the intermediate ones that the server does not send."
    hint = next((hint for codes, hint in _BY_CODE if code in codes), "")
    hint = hint or "Check it with openssl s_client, and the certificates of its CA that ca_path has."
    if code in _STRICT:
        hint += " Until then, a Python before 3.13 accepts it, since it is less strict."
    return hint


def host_hint(names: list[str]) -> str:
    """What to do about a certificate for another host.

    :arg names: those of the certificate, as far as they are known.
    """
    if names:
        return f"It is for {some_of(names, 5)}: give one of these names as the host in url, or have it issued for this host."
    return (
        "Check that url names the host as its certificate does; only the names under subjectAltName count, a certificate "
        "without them (CN only) must be replaced."
    )


def handshake_hint(url: str) -> str:
    """What to do about a TLS handshake that failed without a certificate being refused."""
    hint = "Check that it speaks HTTPS with TLS 1.2 or newer, and that no proxy in front of it demands a client certificate."
    return f"{port_hint(url)} {hint}".lstrip()


def port_hint(url: str) -> str:
    """What scheme and port of a URL say where no EM was found; nothing if they are those of EM's REST API."""
    parts = split_url(url)
    scheme, port = parts.scheme, parts.port
    usual = f"the REST API of Enterprise Manager listens on {PORTS['https']} (https) or {PORTS['http']} (http)"
    if port is None:
        return f"url has no port, so {DEFAULT_PORTS[scheme]} was tried: {usual}, unless it was changed."
    if port == PORTS[scheme]:
        return "" if scheme == "https" else "Enterprise Manager usually speaks https, on port 9398."
    return f"Port {port} may be another service: {usual}, unless it was changed."
