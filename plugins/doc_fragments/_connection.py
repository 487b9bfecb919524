# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection options, which every module and plugin has with the same names."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - Scheme, host and port of Veeam Backup Enterprise Manager, for example V(https://em.example.com:9398). Without a port, it is
        443, which is not that of the REST API.
      - A trailing V(/) or V(/api) is accepted. Do not put a user name or password here.
      - V(http://) sends the password in clear text, with a warning.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_URL) is used.
    type: str
    required: true
  username:
    description:
      - User with a role in Enterprise Manager, as V(DOMAIN\\user), V(user@domain) or a local user of the EM server. Must not contain a colon.
      - Portal User or VM Restore Operator is enough to read sessions. Plans and their runs need VM Restore Operator, restore points need
        Portal User. One account can have both roles. Veeam documents which role each resource needs; that roles add up is assumed.
      - If a role is missing, the error names it and has RV(ignore:error.kind=permission).
      - If not set or empty, the value of the environment variable E(VEEAM_EM_USERNAME) is used.
    type: str
    required: true
  password:
    description:
      - Password of the user. It is sent at logon only, as HTTP Basic in UTF-8.
      - A line break or another control character in it is refused before anything is sent; blanks are kept. Quote a password of digits.
      - Do not loop over a list with passwords in it. If a task fails, Ansible shows its item, also with C(loop_control.label). Make each
        Enterprise Manager a host of the inventory instead.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_PASSWORD) is used.
    type: str
    required: true
  validate_certs:
    description:
      - Whether the server's TLS certificate must be valid. Rather than switching this off, set O(ca_path).
      - V(false) applies even if E(REQUESTS_CA_BUNDLE) is set.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - PEM file (or folder prepared with C(c_rehash)) with the certificate of the CA that signed the server's certificate. For a self-signed
        certificate, which Enterprise Manager's setup creates, use that certificate.
      - Give an absolute path. A relative path starts at the working directory, which for a module is the folder of the playbook.
      - The certificate must list the host of O(url) in its subjectAltName. A common name (CN) alone is ignored, except by urllib3 1.x.
      - If neither this nor the environment variable E(VEEAM_EM_CA_PATH) is set, E(REQUESTS_CA_BUNDLE) and then the CAs of Python's C(certifi)
        are used.
    type: str
  timeout:
    description:
      - Seconds to wait for the connection, for the start of a response, and for each further part of it, from 1 to 3600.
      - A response that is still arriving after this time is given up with its next part, so a request can take up to twice as long. A server
        that sends headers byte by byte is not limited.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_TIMEOUT) is used.
    type: int
    default: 30
  retries:
    description:
      - Maximum number of retries of a read that failed in transit or with HTTP status 500, 502, 503 or 504. The pause starts at up to half
        a second, doubles each time, and is never shorter than the server's C(Retry-After). If that is more than 60 seconds, the read fails.
      - A logon is repeated only if the server certainly created no session, that is, if nothing was listening or it answered 503.
      - If not set or empty, the value of the environment variable E(VEEAM_EM_RETRIES) is used.
    type: int
    default: 3
  api_version:
    description:
      - Version of the REST API to request at logon, V(latest) or for example V(v1_7).
      - If not set or empty, the value of the environment variable E(VEEAM_EM_API_VERSION) is used.
    type: str
    default: latest
requirements:
  - requests
  - xmltodict
notes:
  - A proxy is read from the environment (E(HTTPS_PROXY), E(HTTP_PROXY), E(ALL_PROXY), E(NO_PROXY), or in lower case). One whose address starts
    with V(socks5://) needs the Python library PySocks. Redirects are not followed.
"""

    PLUGIN = r"""
options:
  url:
    env:
      - name: VEEAM_EM_URL
    vars:
      - name: veeam_em_url
  username:
    env:
      - name: VEEAM_EM_USERNAME
    vars:
      - name: veeam_em_username
  password:
    env:
      - name: VEEAM_EM_PASSWORD
    vars:
      - name: veeam_em_password
  validate_certs:
    env:
      - name: VEEAM_EM_VALIDATE_CERTS
    vars:
      - name: veeam_em_validate_certs
  ca_path:
    env:
      - name: VEEAM_EM_CA_PATH
    vars:
      - name: veeam_em_ca_path
  timeout:
    env:
      - name: VEEAM_EM_TIMEOUT
    vars:
      - name: veeam_em_timeout
  retries:
    env:
      - name: VEEAM_EM_RETRIES
    vars:
      - name: veeam_em_retries
  api_version:
    env:
      - name: VEEAM_EM_API_VERSION
    vars:
      - name: veeam_em_api_version
"""
