#!/usr/bin/env bash
# Makes .venv (Airflow, lab, tests, linters) and .venv-tools (forensic tools) from the locked requirements.
# Cheap when nothing has changed. PYTHON names the interpreter to use; without it 3.12, 3.13, 3.11 are tried.
set -euo pipefail
cd "$(dirname "$0")/.."

BOOTSTRAP=.venv-bootstrap
STARTED=$SECONDS

say() { printf '[setup %3ds] %s\n' "$((SECONDS - STARTED))" "$*"; }

fail() {
    # what, why, what next
    printf '\nSetup failed: %s\n' "$1" >&2
    printf '%s\n' "$2" >&2
    exit 1
}

digest() { # of files, with what this machine has for it
    if command -v sha256sum >/dev/null; then cat "$@" | sha256sum; else cat "$@" | shasum -a 256; fi | cut -d' ' -f1
}

works() { # candidate version: it has to run, be that version, and be able to make environments
    "$1" - "$2" >/dev/null 2>&1 <<'PY'
import sys, ssl, sqlite3, venv, ensurepip
sys.exit(f"{sys.version_info[0]}.{sys.version_info[1]}" != sys.argv[1])
PY
}

candidates() { # version: one candidate a line
    echo "python$1"
    # pyenv's shims answer only for versions that are switched on: look at what is installed as well
    if command -v pyenv >/dev/null; then
        local root
        root=$(pyenv root 2>/dev/null) || return 0
        ls -d "$root/versions/$1"*/bin/python 2>/dev/null || true
    fi
    echo python3
}

find_python() {
    local version candidate
    if [ -n "${PYTHON:-}" ]; then
        for version in ${VERSIONS:-3.12 3.13 3.11}; do
            if works "$PYTHON" "$version"; then
                echo "$PYTHON"
                return
            fi
        done
        fail "PYTHON=$PYTHON is not a working Python ${VERSIONS:-3.11, 3.12 or 3.13}." \
            "Why: it did not start, has another version, or lacks venv/ensurepip/ssl/sqlite3. Next: name another one, or unset PYTHON."
    fi
    for version in ${VERSIONS:-3.12 3.13 3.11}; do
        while read -r candidate; do
            if works "$candidate" "$version"; then
                echo "$candidate"
                return
            fi
        done < <(candidates "$version")
    done
    fail "no Python ${VERSIONS:-3.12, 3.13 or 3.11} was found." \
        "Why: none of python3.12, python3.13, python3.11 (as far as wanted), python3 and pyenv's versions runs with venv, ensurepip, ssl and sqlite3.
Next: install one (Debian and Ubuntu: 'apt-get install python3 python3-venv'; pyenv: 'pyenv install 3.12'), or run 'PYTHON=/path/to/python make setup'."
}

# A stamp says what an environment was made from: the lock, and the interpreter.
stamp() { printf '%s %s\n' "$(digest "$1" scripts/setup.sh)" "$2"; }

fresh() { # environment stamp: made from this, and still running
    [ -f "$1/.stamp" ] && [ "$(cat "$1/.stamp")" = "$2" ] && "$1/bin/python" -c '' 2>/dev/null
}

bootstrap() {
    local wanted
    wanted=$(stamp requirements/bootstrap.lock "$MAIN_VERSION")
    if fresh "$BOOTSTRAP" "$wanted"; then return; fi
    say "installing uv, by its digest"
    rm -rf "$BOOTSTRAP"
    "$MAIN" -m venv "$BOOTSTRAP" ||
        fail "$MAIN cannot make a virtual environment." "Next: install its venv package (Debian and Ubuntu: python3-venv)."
    echo '*' >"$BOOTSTRAP/.gitignore"
    "$BOOTSTRAP/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: -r requirements/bootstrap.lock ||
        fail "uv could not be installed (requirements/bootstrap.lock)." \
            "Why: see pip's message above; usually the package index cannot be reached, or a proxy changes files.
Next: check the network and pip's configuration ('pip config list'), then run 'make setup' again: it continues from here."
    echo "$wanted" >"$BOOTSTRAP/.stamp"
}

environment() { # directory lock purpose
    local directory=$1 lock=$2 purpose=$3 wanted began=$SECONDS
    wanted=$(stamp "$lock" "$VERSION")
    if fresh "$directory" "$wanted"; then return; fi
    bootstrap
    say "$directory: $(grep -c == "$lock") packages for $purpose"
    rm -f "$directory/.stamp"
    if ! "$directory/bin/python" -c "import sys; sys.exit(sys.version != '''$VERSION''')" 2>/dev/null; then
        rm -rf "$directory"
        "$INTERPRETER" -m venv --without-pip "$directory"
    fi
    "$BOOTSTRAP/bin/uv" pip sync --quiet --system-certs --python "$directory/bin/python" --link-mode "${UV_LINK_MODE:-hardlink}" \
        --require-hashes "${BINARIES[@]}" "$lock" ||
        fail "the packages of $lock could not be installed into $directory." \
            "Why: see uv's message above; usually the package index cannot be reached, or a package has no ready-made wheel for this machine and Python.
Next: check the network, then run 'make setup' again: downloads are kept, it continues from here."
    echo "$wanted" >"$directory/.stamp"
    say "$directory: ready after $((SECONDS - began)) s"
}

# Nothing is compiled on the user's machine. These are pure Python and published as sources only, for the tests of the exports.
BINARIES=(--only-binary :all: --no-binary cpe --no-binary timesketch-api-client --no-binary timesketch-import-client)
MAIN=$(find_python)
MAIN_VERSION=$("$MAIN" -c 'import sys; print(sys.version)')
INTERPRETER=$MAIN VERSION=$MAIN_VERSION
if [ "${1:-}" = --plaso ]; then
    INTERPRETER=$(VERSIONS=3.11 find_python)
    VERSION=$("$INTERPRETER" -c 'import sys; print(sys.version)')
    # Four of plaso's own packages are published as pure Python sources, without wheels.
    BINARIES=()
    environment .venv-plaso requirements/plaso.lock "the full timeline"
    exit
fi
if [ "${*: -1}" = --docs ]; then
    environment .venv-docs requirements/docs.lock "the documents as a site"
    exit
fi
if [ "${*: -1}" = --judges ]; then
    environment .venv-judges requirements/judges.lock "other emulators"
    wanted=$(digest requirements/judges/package-lock.json)
    if [ "$(cat .venv-judges-npm/.stamp 2>/dev/null)" != "$wanted" ]; then
        command -v npm >/dev/null ||
            fail "npm is not installed; the emulators dynalite, fauxqs and s3rver are programs for Node.js (20 or newer)." \
                "Next: install Node.js with npm (Debian and Ubuntu: 'apt-get install nodejs npm'), then run 'make contract-check' again."
        mkdir -p .venv-judges-npm
        cp requirements/judges/package.json requirements/judges/package-lock.json .venv-judges-npm/
        (cd .venv-judges-npm && npm ci --ignore-scripts --no-audit --no-fund --silent) ||
            fail "the emulators of requirements/judges/package.json could not be installed." \
                "Why: see npm's message above; usually the registry cannot be reached. Next: check the network, then run 'make contract-check' again."
        echo "$wanted" >.venv-judges-npm/.stamp
    fi
    exit
fi
environment .venv requirements/dev.lock "Airflow, the lab, tests and linters"
# Airflow puts plugins/ on the path by itself; the lab, the demo and the bench read the product's models too.
checkout=$(echo .venv/lib/python3.*/site-packages)/forensics-checkout.pth
if [ "$(cat "$checkout" 2>/dev/null)" != "$PWD/plugins" ]; then # the environment may be another user's
    echo "$PWD/plugins" >"$checkout"
fi
environment .venv-tools requirements/toolkit.lock "the forensic tools"
if [ "${*: -1}" = --lint ]; then
    environment .venv-lint requirements/lint.lock "the template linters"
    environment .venv-guard requirements/guard.lock "cfn-guard and its rules"
fi
if [ "${1:-}" != --quiet ] || [ "$((SECONDS - STARTED))" -gt 2 ]; then
    say "ready: Python $("$INTERPRETER" -c 'import platform; print(platform.python_version())') ($INTERPRETER)"
fi
