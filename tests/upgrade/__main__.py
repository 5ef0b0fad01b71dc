"""``make upgrade-check``: cases of the release before in this one; ``record COMMIT`` makes the recording that the tests read."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.upgrade import hand_over
from tests.upgrade.recorded import RELEASES

BEFORE = "495670d"


def _known(commit: str) -> bool:
    asked = ["git", "-C", str(hand_over.ROOT), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Exit status 0 only when every case ended as one that this release has done alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("what", choices=("check", "record"))
    parser.add_argument("commit", nargs="?", default=BEFORE, help=f"the other release (default {BEFORE})")
    parser.add_argument("--cache", type=Path, default=Path(".lab/cache"), help="where evidence images are kept")
    parser.add_argument("--only", default="", help="only points with this in their name")
    given = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    if not _known(given.commit):
        say(
            f"commit {given.commit} is not in this clone: fetch the whole history (git fetch --unshallow), then run this again"
        )
        return 2
    if given.what == "check":
        return 1 if hand_over.check(given.commit, given.cache.resolve(), say, only=given.only) else 0
    RELEASES.mkdir(parents=True, exist_ok=True)
    with hand_over.release(given.commit) as tree:
        script = tree / "tests" / "record_release.py"
        shutil.copy(Path(__file__).with_name("record.py"), script)
        hand_over.run_in(tree, script, str(RELEASES / f"{given.commit}.json"), "--cache", str(given.cache.resolve()))
    say(f"written: {RELEASES / f'{given.commit}.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
