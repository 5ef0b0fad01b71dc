#!/usr/bin/env bash
# Writes requirements/*.lock from *.in, for all platforms and Python 3.11 to 3.13, with a digest for every file.
# CONSTRAINTS (file or URL) are Airflow's own tested versions; the published ones of the pinned release by default.
# With names (scripts/lock.sh dev docs) only these are written.
set -euo pipefail
cd "$(dirname "$0")/.."

AIRFLOW=$(sed -n 's/^apache-airflow==//p' requirements/runtime.in)
CONSTRAINTS=${CONSTRAINTS:-https://raw.githubusercontent.com/apache/airflow/constraints-$AIRFLOW/constraints-3.12.txt}
UV=.venv-bootstrap/bin/uv

WANTED=" $* "

# Airflow's constraints are written for Python 3.12: their numpy (a need of tests alone) does not exist for 3.11.
TESTED=$(mktemp)
trap 'rm -f "$TESTED"' EXIT
tested() {
    if [ -f "$CONSTRAINTS" ]; then cat "$CONSTRAINTS"; else curl --fail --silent --show-error --location "$CONSTRAINTS"; fi |
        sed '/^numpy==/d' >"$TESTED"
}

lock() { # name, further options
    local name=$1
    shift
    if [ "$WANTED" != "  " ] && [[ "$WANTED" != *" $name "* ]]; then return; fi
    echo "[lock] requirements/$name.lock"
    # no annotations: they would name the place of the constraints file
    "$UV" pip compile --quiet --system-certs --universal --python-version "${OLDEST:-3.11}" --generate-hashes --no-header --no-annotate \
        ${UPGRADE:+--upgrade} "$@" "requirements/$name.in" -o "requirements/$name.lock"
}

lock bootstrap
if [[ "${*:-runtime}" =~ runtime|dev ]]; then tested; fi
lock runtime -c "$TESTED"
lock dev -c "$TESTED"
lock toolkit
lock build
lock lint
lock guard --no-deps
lock docs
lock judges
if [ "$WANTED" = "  " ] || [[ "$WANTED" = *" judges "* ]]; then
    # without the addresses of the registry that it was made with
    (cd requirements/judges && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --silent)
fi
# what MWAA itself installs under; MWAA_CONSTRAINTS is a file or URL with VERSION in it
for file in requirements/mwaa-*.in; do
    name=$(basename "$file" .in)
    published=${MWAA_CONSTRAINTS:-https://raw.githubusercontent.com/apache/airflow/constraints-VERSION/constraints-3.12.txt}
    OLDEST=3.12 lock "$name" -c "${published//VERSION/${name#mwaa-}}"
done
lock plaso
echo "[lock] done; 'make setup' installs what has changed"
