"""``make userland-check``: the live response's and the probe's own scripts in every userland under every condition.

A run is good when its last line is a status line, nothing of the core set is missing from an archive that is called ``ok``,
every archive is what its index says, and what was planted is found or named. Without debootstrap or root it says so and ends
with 0: nothing was checked.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lab.paths import ROOT
from lab.userland.bucket import Bucket, bucket
from lab.userland.conditions import CONDITIONS, ENDED, PLANT, Condition
from lab.userland.host import Done, How, offered_collector, run
from lab.userland.systems import RELEASES, USERLANDS, Userland, lacking, mounted, root_of, with_shells

CORE = (
    "00-clock", "10-network-tcp", "10-network-udp", "10-network-unix", "12-routes", "14-pids", "20-process-states",
    "21-process-programs", "22-process-arguments", "23-preload", "23-process-status", "24-open-files", "25-environments",
    "40-mounts", "42-kernel", "43-kernel-log", "51-namespaces",
)  # fmt: skip
FIRST = CORE[:9]
HIDER = """
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
static int bad(const char *name) {
  char path[300], text[64] = ""; FILE *file;
  if (name[0] < '0' || name[0] > '9') return 0;
  snprintf(path, sizeof path, "/proc/%s/comm", name);
  if (!(file = fopen(path, "r"))) return 0;
  if (!fgets(text, sizeof text, file)) text[0] = 0;
  fclose(file);
  return !strncmp(text, "zz-planted", 10);
}
struct dirent *readdir(DIR *folder) {
  static struct dirent *(*real)(DIR *); struct dirent *entry;
  if (!real) real = dlsym(RTLD_NEXT, "readdir");
  while ((entry = real(folder)) && bad(entry->d_name)) ;
  return entry;
}
struct dirent64 *readdir64(DIR *folder) {
  static struct dirent64 *(*real)(DIR *); struct dirent64 *entry;
  if (!real) real = dlsym(RTLD_NEXT, "readdir64");
  while ((entry = real(folder)) && bad(entry->d_name)) ;
  return entry;
}
"""


def how(userland: Userland, condition: Condition, root: Path, hider: Path) -> How:
    """The run of a document in a userland under a condition."""
    setup = [mounted(userland, root), f"cp {hider} $R/run/hide.so 2>/dev/null", PLANT, condition.setup]
    return How(
        shell=userland.shell,
        root=root,
        chroot='"$R"',
        setup="\n".join(setup) + '\necho $PLANTED >"$R/run/planted" 2>/dev/null',
        namespaces=condition.namespaces,
        environment=dict(userland.environment) | dict(condition.environment),
        variables=condition.variables,
        depth=condition.depth,
        end=condition.end,
        seconds=120,
    )


def judge(done: Done, userland: Userland, condition: Condition) -> list[str]:
    """What is wrong with a run; empty when it is as it must be."""
    said = done.status.get("status")
    if said not in {"ok", "partial", "failed"}:
        return [f"no status line (exit {done.code}): {(done.stdout + done.stderr).strip()[-200:]!r}"]
    if not done.status.get("reason") and said != "ok":
        return [f"{said} without a reason"]
    if userland.lacks and not condition.may_fail:
        return (
            []
            if userland.lacks in done.status["reason"]
            else [f"{userland.lacks!r} is not said: {done.status['reason']}"]
        )
    if said == "failed":
        missing = [text for text in condition.finds if text not in done.status["reason"]] if not condition.end else []
        return missing if condition.may_fail else [f"failed: {done.status['reason']}"]
    archive = done.archive()
    found = archive.problems(indexed=True)
    if said == "ok":
        core = FIRST if condition.depth == "first" else CORE
        found += [f"ok without {name}" for name in core if not archive.members.get(name, (0, ""))[0]]
    wanted = [text for text in condition.finds if not (text == ENDED and userland.applets)]
    found += [f"{text!r} is neither found nor named" for text in wanted if not done.holds(text.encode())]
    return found


def build_hider(folder: Path) -> Path:
    """The library that hides the planted process from listings."""
    source, library = folder / "hide.c", folder / "hide.so"
    source.write_text(HIDER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def chosen(options: argparse.Namespace) -> Iterator[tuple[Userland, Condition]]:
    """The pairs that are run: all, or so many of them by the seed; heavy conditions in two userlands only."""
    pairs = [
        (userland, condition)
        for userland in (*USERLANDS, *with_shells(options.state))
        for condition in CONDITIONS
        if options.userland in userland.name and options.condition in condition.name
        and condition.not_in != userland.release
        and not (condition.heavy and userland.name not in {"debian-12", "busybox"})
    ]  # fmt: skip
    if options.count and options.count < len(pairs):
        pairs = random.Random(options.seed).sample(pairs, options.count)
    yield from pairs


def check(options: argparse.Namespace, store: Bucket, hider: Path) -> Counter[str]:
    """Run the pairs; prints a line for each that is not as it must be."""
    tally: Counter[str] = Counter()
    for userland, condition in chosen(options):
        root = root_of(userland.release, state=options.state)
        store.refused = {f"/part{n}": condition.refused for n in range(1, 4)} if condition.refused else {}
        shown = how(userland, condition, root, hider)
        if condition.collector:
            static = root_of(RELEASES[0], state=options.state) / "bin/busybox"
            shown = dataclasses.replace(shown, manifest=offered_collector(store, static))
        done = run("live_response_linux", shown, store)
        wrong = judge(done, userland, condition)
        tally["runs"] += 1
        tally[str(done.status.get("status", "no status line"))] += 1
        tally["wrong"] += bool(wrong)
        if condition.name == "usual" and not userland.lacks:
            print(
                f"  {userland.name}: {done.seconds:.1f} s, {len(done.body) / 1024:.0f} KiB, {done.status.get('items')} items"
            )
        if wrong or options.verbose:
            print(f"  {userland.name} x {condition.name}: {'; '.join(wrong) or done.status}", flush=True)
        tally["wrong"] += probe(userland, condition, root, store)
    return tally


def probe(userland: Userland, condition: Condition, root: Path, store: Bucket) -> int:
    """The probe once in each userland; 1 when its line is not of the form."""
    if condition.name != "usual":
        return 0
    shown = How(shell=userland.shell, root=root, chroot='"$R"', setup=mounted(userland, root))
    done = run("probe_linux", dataclasses.replace(shown, namespaces="-m"), store)
    good = done.status.get("status") == "ok" and done.status.get("tmpfs") in {"/run", "/dev/shm"}
    if not good:
        print(f"  {userland.name} x probe: {done.stdout[-300:]!r} {done.stderr[-300:]!r}")
    return 0 if good else 1


def main() -> int:
    """Run the check; 1 when a run was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=ROOT / os.environ.get("LAB_STATE", ".lab"))
    parser.add_argument("--userland", default="", help="only userlands with this in their name")
    parser.add_argument("--condition", default="", help="only conditions with this in their name")
    parser.add_argument("--count", type=int, default=0, help="so many pairs, chosen by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="every run's status line")
    options = parser.parse_args()
    if missing := lacking():
        print(f"userland-check: nothing was checked: this machine lacks {', '.join(missing)}")
        return 0
    shells = with_shells(options.state)
    if not shells:
        print(
            f"  no bash of version 4 is checked: no package has one; lay bash-VERSION, static, in {options.state}/userlands/shells"
        )
    for userland in (*USERLANDS, *shells):
        if userland.emulated:
            print(f"  {userland.name} emulates {userland.emulated}; it is made of Debian's {userland.release}")
    with bucket() as store, tempfile.TemporaryDirectory() as folder:
        tally = check(options, store, build_hider(Path(folder)))
    print(
        f"userland-check: {dict(tally)}; {len(USERLANDS) + len(shells)} userlands, {len(CONDITIONS)} conditions (seed {options.seed})"
    )
    return 1 if tally["wrong"] or not tally["runs"] else 0


if __name__ == "__main__":
    sys.exit(main())
