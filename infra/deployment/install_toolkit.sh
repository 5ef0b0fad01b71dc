#!/bin/bash
# Runs once, on the build instance of the forensic AMI: the toolkit and its locked packages in an environment of their own.
set -euo pipefail
cd /opt/forensic-toolkit
python=$(command -v python3.12 || command -v python3.11) || {
    echo "python3.12 or python3.11 is needed on the base image: dnf install python3.12" >&2
    exit 1
}
# pip is that of the distribution's Python; nothing without a digest is installed in the image that will hold evidence
"$python" -m venv .
bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r build.lock
bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r toolkit.lock
bin/pip install --no-cache-dir --no-deps --no-build-isolation ./source
rm -rf source
