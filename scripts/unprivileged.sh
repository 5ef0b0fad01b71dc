#!/usr/bin/env bash
# Plays the demo and the tests of its sandbox as a user without rights, in a copy of this checkout that everybody can read.
# Root prepares the copy (its package cache serves), then only nobody (uid 65534) acts. Needs root, to become that user.
# DEMO=no leaves the demo out. When this machine lacks something, the script says what and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

NOBODY=65534
say() { printf '[unprivileged] %s\n' "$*"; }

if [ "$(id -u)" -ne 0 ]; then
    say "not run: this user is not root, so that whatever it runs is unprivileged already; run 'make demo'"
    exit 0
fi
if ! command -v setpriv >/dev/null; then
    say "not run: there is no setpriv (util-linux) to become another user with"
    exit 0
fi

# root's TMPDIR may be closed to others, so the copy has a folder of its own below /tmp
COPY=$(mktemp -d /tmp/ec2-forensics-unprivileged.XXXXXX)
trap 'rm -rf "$COPY"' EXIT
umask 022
chmod 755 "$COPY"
mkdir -p "$COPY/checkout" "$COPY/home"
git ls-files -z | while IFS= read -r -d '' file; do # what Git tracks, as it is now; a removed file is left out
    if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done | tar --null --files-from=- --create --mode='a+rX' --file=- | tar --extract --file=- --directory="$COPY/checkout"

as_nobody() {
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$COPY/home" LANG=C.UTF-8 PYTHONUNBUFFERED=1 \
        setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups -- "$@"
}

find_python() { # one that the other user can start: this machine's own may lie below /root
    local candidate
    for candidate in ${PYTHON:-} /usr/local/bin/python3.1[123] /usr/bin/python3.1[123] /usr/local/bin/python3 /usr/bin/python3; do
        if as_nobody "$candidate" - 2>/dev/null <<'PY'
import sys, ssl, sqlite3, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PY
        then
            echo "$candidate"
            return
        fi
    done
}

INTERPRETER=$(find_python)
if [ -z "$INTERPRETER" ]; then
    say "not run: no Python 3.11 to 3.13 with venv, ensurepip, ssl and sqlite3 that uid $NOBODY may start"
    say "         (PYTHON=… names one; 'apt-get install python3 python3-venv' installs one)"
    exit 0
fi
say "$($INTERPRETER -V) at $INTERPRETER, checkout in $COPY"
(cd "$COPY/checkout" && PYTHON=$INTERPRETER UV_LINK_MODE=copy scripts/setup.sh)
chmod -R a+rX "$COPY/checkout"
chown "$NOBODY:$NOBODY" "$COPY/checkout" "$COPY/home" # the states below .lab are made there

cd "$COPY/checkout"
say "the sandbox's and the toolkit's tests, as uid $NOBODY"
TESTS=()
for name in tests/lab/hosts/sandbox:test_runner.py tests/toolkit:test_confinement.py tests/toolkit:test_system_calls.py tests/toolkit:test_command_line.py; do
    found=$(find "${name%%:*}" -name "${name##*:}")
    if [ -z "$found" ]; then
        say "failed: ${name##*:} is not below ${name%%:*} any more; name its successor in this script"
        exit 1
    fi
    TESTS+=("$found")
done
as_nobody .venv/bin/python -m pytest -q -rs -p no:cacheprovider "${TESTS[@]}"
if [ "${DEMO:-yes}" != no ]; then
    say "the demo, as uid $NOBODY"
    as_nobody env PYTHON="$INTERPRETER" make --no-print-directory demo
fi
