#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches Patchwright's agent from the server it came from, enrols this machine and starts the agent.
#
#   curl -fsS SERVER/agent/install.sh | sudo sh -s -- --activation-id ID --activation-code CODE [--pin sha256:…]
set -eu
umask 022 # root runs what is written here: nobody else may write to it
server='@SERVER@'
target=/usr/local/lib/patchwright
say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "install.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "run it as root: the agent installs packages."
python=$(command -v python3 || true)
[ -n "$python" ] || stop "Python 3.8 or newer is needed: install the package python3 and run this again."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' ||
    stop "$python is older than 3.8: install a newer Python of your distribution and run this again."

mkdir -p "$target"
"$python" - "$server/agent/patchwright-agent.pyz" "$target/patchwright-agent.pyz.new" "$@" <<'PYTHON'
import hashlib, shutil, ssl, sys, urllib.request
url, path, *rest = sys.argv[1:]
pin = next((b for a, b in zip(rest, rest[1:]) if a == "--pin"), "")
ca = next((b for a, b in zip(rest, rest[1:]) if a == "--ca"), None)
context = ssl.create_default_context(cafile=ca)
if pin:
    host = url.split("/")[2].rsplit("@", 1)[-1]
    name, _, port = host.rpartition(":") if ":" in host else (host, "", "443")
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((name.strip("[]"), int(port))))
    if "sha256:" + hashlib.sha256(der).hexdigest() != pin:
        sys.exit("install.sh: the server's certificate is not the one --pin names; nothing was installed.")
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
    context.check_hostname = False
    context.verify_flags |= 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: what is pinned need not be self-signed
with urllib.request.urlopen(url, context=context if url.startswith("https:") else None, timeout=60) as answer:
    with open(path, "wb") as file:
        shutil.copyfileobj(answer, file)
PYTHON
mv "$target/patchwright-agent.pyz.new" "$target/patchwright-agent.pyz"

if [ -e /var/lib/patchwright-agent/identity.json ]; then
    say "This machine is enrolled already: the agent is brought up to date, its identity stays."
else
    "$python" -I -S "$target/patchwright-agent.pyz" enroll --server "$server" "$@"
fi

if [ -d /run/systemd/system ]; then
    sed "s#/usr/bin/python3#$python#; s#/usr/lib/patchwright#$target#" \
        >/etc/systemd/system/patchwright-agent.service <<'UNIT'
@UNIT@
UNIT
    systemctl daemon-reload
    systemctl enable patchwright-agent.service
    systemctl restart patchwright-agent.service
    say "The agent runs as patchwright-agent.service."
else
    say "This machine has no systemd. Start the agent with: $python -I -S $target/patchwright-agent.pyz run"
fi
