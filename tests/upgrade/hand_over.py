"""A case that the release before has begun is finished by this one: in one lab, at several points, also in the middle of a step.

The lab and its resources are this release's. In the accounts lie the documents of both, as after an update of the documents' stacks:
this release's are the default version while its predecessor works, so that only pinned versions are right for both.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec, patch

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import TaskAwaitingInput, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from forensics.aws import session as aws_session
from forensics.aws.hook import ForensicsHook
from forensics.case.gaps import gaps
from forensics.containment.release_operators import RELEASE, ReleaseTargetOperator
from forensics.custody.ledger import CustodyLedger
from lab.evidence.images import Images
from tests.containment.steps import answer, context, plan_release
from tests.gateways import recorder_of
from tests.iam.flow import CASE
from tests.integration.conftest import SmallLab, running_lab
from tests.integration.steps import fire, perform

ROOT = Path(__file__).resolve().parents[2]
LATENCIES = {"instance_seconds": 0.2, "terminate_seconds": 0.0, "snapshot_seconds": 0.2, "copy_seconds": 0.2}
GUEST = Path(__file__).with_name("guest.py")


@dataclass(frozen=True)
class Point:
    """Where a case is handed over: behind its step ``after``, or with ``waiting`` begun and waiting for AWS."""

    name: str
    after: str
    waiting: str | None = None


POINTS = (
    Point("a new case", ""),
    Point("after triage", "triage.plan_response"),
    Point("while memory is captured", "memory.probe_target", "memory.capture_memory"),
    Point("while snapshots are taken", "memory.verify_memory", "disk.snapshot_volumes"),
    Point("after isolation", "containment.isolate_target"),
    Point(
        "while the forensic instance examines", "investigation.attach_evidence_volumes", "investigation.analyse_memory"
    ),
)


@contextmanager
def release(commit: str) -> Iterator[Path]:
    """The tree of a commit, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT)]
        subprocess.run([*git, "worktree", "add", "-q", "--detach", str(tree), commit], check=True)
        try:
            for name in (".venv", ".venv-tools", ".venv-bootstrap", ".ready"):
                if (ROOT / name).exists():
                    (tree / name).symlink_to((ROOT / name).resolve())
            yield tree
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=True)


def run_in(tree: Path, script: Path, *arguments: str, given: str = "") -> str:
    """Run a script with the code of a tree; returns its standard output, or raises with the end of what it said."""
    path = os.pathsep.join(str(tree / folder) for folder in ("plugins", "ami/toolkit/src", "verifier", "."))
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, str(script), *arguments], cwd=tree, env=env, input=given, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        msg = f"{script.name} in {tree.name} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}"
        raise AssertionError(msg)
    return done.stdout


def _documents_of(tree: Path, lab: SmallLab) -> int:
    """Put the other release's documents beside this one's, not as the default version; how many differ."""
    added = 0
    for account in ("forensic", "member"):
        ssm = lab.client("ssm", account)
        for name in lab.facts["documents"]:
            file = tree / "ssm_documents" / f"{name.removeprefix('forensics-')}.yaml"
            own = ROOT / "ssm_documents" / file.name
            if file.exists() and file.read_bytes() != own.read_bytes():
                ssm.update_document(
                    Name=name, Content=file.read_text("utf-8"), DocumentVersion="$LATEST", DocumentFormat="YAML"
                )
                added += 1
    return added


def _default_is(lab: SmallLab, tree: Path, *, other: bool) -> None:
    """Whose documents are the default version: those of the other release as long as it works, as before 1.1 it must have them."""
    for account in ("forensic", "member"):
        ssm = lab.client("ssm", account)
        for name in lab.facts["documents"]:
            count = int(ssm.describe_document(Name=name)["Document"]["LatestVersion"])
            ssm.update_document_default_version(Name=name, DocumentVersion=str(count if other else 1))


def _resume(wait: dict[str, Any], case_id: str) -> None:
    """A wait of the other release, as this release's triggerer and worker take it from the database."""
    module, name = wait["path"].rsplit(".", 1)
    trigger = getattr(__import__(module, fromlist=[name]), name)(**wait["arguments"])
    event = asyncio.run(fire(trigger))
    if isinstance(event, TaskSuccessEvent):
        return
    step = dict(CASE)[wait["task"]](task_id=wait["task"])
    step.case_id = case_id
    try:
        getattr(step, wait["method"])(context(step), **{**(wait["kwargs"] or {}), "event": event.payload})
    except TaskDeferred:
        perform(dict(CASE)[wait["task"]](task_id=wait["task"]), case_id=case_id)  # it waits again: cleared, it goes on


def _released(case_id: str) -> str:
    """The containment is undone by this release; the outcome."""
    step = plan_release(case_id, reason="upgrade", requester="alice")
    try:
        step.execute(context(step))
    except TaskAwaitingInput:
        step.execute_complete(context(step), answer(RELEASE))
    perform(ReleaseTargetOperator(task_id="release_target"), case_id=case_id)
    result = recorder_of(case_id, step="test").gateways.view(case_id)
    return str(result.release.outcome.value) if result and result.release else "none"


def _summary(case_id: str) -> dict[str, Any]:
    """How the case ended, without what differs from case to case."""
    recorder = recorder_of(case_id, step="test")
    view = recorder.gateways.view(case_id)
    assert view is not None
    hook = ForensicsHook()
    ledger = recorder.gateways.ledger
    assert isinstance(ledger, CustodyLedger) and hook.settings
    events, _ = ledger.verified(case_id)
    return {
        "status": view.case.status.value,
        "gaps": sorted({g.what for g in gaps(view)}),
        "evidence": sorted(f"{e.kind.value} {e.outcome.value}" for e in view.evidence),
        "investigations": sorted(f"{i.activity} {i.outcome.value}" for i in view.investigations),
        "contained": view.containment.state.value if view.containment else "none",
        "actions": sorted({e.action.value for e in events}),
    }


def played(point: Point | None, tree: Path, cache: Path) -> dict[str, Any]:
    """One case in a fresh lab, begun by the other release up to a point (None: not at all), ended and released by this one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as change,
        running_lab(Path(folder), change, images=Images(cache)) as lab,
        patch.object(hitl, "upsert_hitl_detail", create_autospec(hitl.upsert_hitl_detail)),
    ):
        lab.control("config", LATENCIES)
        change.setattr("forensics.triage.target_description.PING_SETTLES_WITHIN", 1.0)
        return _case(point, tree, lab)


def _case(point: Point | None, tree: Path, lab: SmallLab) -> dict[str, Any]:
    web = lab.facts["instances"]["web-server"]
    params = {
        "account_id": web["account"], "region": "eu-central-1", "instance_id": web["instance_id"], "actions": "memory+disk+isolate",
        "reason": "upgrade", "requester": "alice",
    }  # fmt: skip
    names = [name for name, _ in CASE]
    done = names[: names.index(point.after) + 1] if point and point.after else []
    differ = _documents_of(tree, lab)
    job = {
        "case_id": "",
        "params": params,
        "run_id": "manual__upgrade",
        "steps": done,
        "until_it_waits": point.waiting if point else None,
    }
    if differ:
        _default_is(lab, tree, other=point is not None)
    if point:
        begun = json.loads(run_in(tree, GUEST, given=json.dumps(job)).splitlines()[-1])
    else:
        begun = json.loads(run_in(ROOT, GUEST, given=json.dumps(job)).splitlines()[-1])
    case_id, wait, done = str(begun["case_id"]), begun["wait"], list(begun["done"])
    aws_session.forget()
    if wait:
        _resume(wait, case_id)
        done = [*done, wait["task"]]
    for name, kind in CASE:
        if name not in done:
            perform(kind(task_id=name), case_id=case_id)
    return {**_summary(case_id), "released": _released(case_id)}


def _different(ended: dict[str, Any], alone: dict[str, Any]) -> dict[str, Any]:
    """What is not as in a case that this release has done alone. A step that the release before has done is not done anew: what
    only this one makes in it (a second look at the live response, what is read of it) is missing then, and nothing else may be."""
    found = {k: (ended[k], alone[k]) for k in ("status", "gaps", "contained", "released") if ended[k] != alone[k]}
    if set(ended["evidence"]) != set(alone["evidence"]):
        found["evidence"] = (ended["evidence"], alone["evidence"])
    examined = [[i for i in one["investigations"] if i.startswith("investigate_")] for one in (ended, alone)]
    if examined[0] != examined[1] or not set(ended["investigations"]) <= set(alone["investigations"]):
        found["investigations"] = (ended["investigations"], alone["investigations"])
    return found


def check(commit: str, cache: Path, say: Callable[[str], None], *, only: str = "") -> int:
    """Every point; returns how many ended otherwise than a case that this release has done alone."""
    wrong = 0
    with release(commit) as tree:
        alone = played(None, tree, cache)
        say(f"alone: {json.dumps(alone)}")
        for point in (p for p in POINTS if only in p.name):
            try:
                ended = played(point, tree, cache)
            except Exception as error:  # whatever it is, it is the finding
                say(f"WRONG  handed over {point.name}: {type(error).__name__}: {str(error)[-1500:]}")
                wrong += 1
                continue
            different = _different(ended, alone)
            wrong += bool(different)
            how = f"WRONG  {json.dumps(different)}" if different else "right "
            say(f"{how} handed over {point.name}: {ended['status']}, release {ended['released']}")
    return wrong
