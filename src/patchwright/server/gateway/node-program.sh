#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does this step by the node program of Patchwright: downloaded once, held to its SHA-256, started by the system's Python.
url=@URL@
sha256=@SHA256@
directory=/var/lib/patchwright-node/program
program=$directory/$sha256.pyz

PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

python=
for candidate in python3 /usr/libexec/platform-python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8
do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "patchwright: this node has no Python 3.8 or newer, which its node program needs; install one" >&2
    exit 1
fi

matches() {
    [ -f "$1" ] && "$python" -I -c '
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    sys.exit(hashlib.sha256(file.read()).hexdigest() != sys.argv[2])
' "$1" "$sha256"
}

download() {
    if command -v curl >/dev/null 2>&1; then
        curl --silent --show-error --fail --location --max-time 300 --retry 3 --output "$1" "$url"
    elif command -v wget >/dev/null 2>&1; then
        wget --quiet --timeout=60 --tries=3 --output-document="$1" "$url"
    else
        "$python" -I -c '
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
' "$url" "$1"
    fi
}

if ! matches "$program"; then
    mkdir -p "$directory" || exit 1
    fresh=$directory/.new.$$
    trap 'rm -f "$fresh"' EXIT
    if ! download "$fresh"; then
        echo "patchwright: the node program cannot be downloaded from $url" >&2
        exit 156
    fi
    if ! matches "$fresh"; then
        echo "patchwright: what $url serves is not the node program that this command names (SHA-256 $sha256)" >&2
        exit 155
    fi
    mv -f "$fresh" "$program" || exit 1
    find "$directory" -name '*.pyz' ! -name "$sha256.pyz" -mtime +7 -exec rm -f {} + 2>/dev/null
fi
exec "$python" -I "$program" @WORDS@
