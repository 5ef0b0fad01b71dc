"""Pushes one case to every system of the settings; a system that does not take it is a note, and holds up no other."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from forensics import case_keys
from forensics.aws.push_targets import PushTargets
from forensics.case.recorder import CaseRecorder
from forensics.errors import ForensicsError, PushError
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.push import Pushed
from forensics.models.timeline import TimelineStore
from forensics.printable import count
from forensics.push.openrelik import OpenRelikPlug
from forensics.push.plug import Deadline, PushPlug
from forensics.push.stored_case import StoredCase
from forensics.push.timesketch import TimesketchPlug
from forensics.settings import Settings, pairs

PLUGS: tuple[type[PushPlug], ...] = (TimesketchPlug, OpenRelikPlug)


def plug_of(kind: str, own: dict[str, str]) -> type[PushPlug]:
    """The class of a kind: one of the product's, or one that ``forensics.push_plugs`` names. Raises :class:`PushError`."""
    for plug in PLUGS:
        if plug.kind == kind:
            return plug
    if kind not in own:
        known = ", ".join([*(plug.kind for plug in PLUGS), *own])
        raise PushError(
            f"no plug is of kind {kind}; known: {known}",
            next_action="correct kind in the secret, or add the plug to forensics.push_plugs",
        )
    module, _, name = own[kind].partition(":")
    action = f"correct forensics.push_plugs: {own[kind]} has to be a class of PushPlug that Airflow can import"
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PushError(f"plug {kind} was not loaded: {type(error).__name__}", next_action=action) from error
    if not (isinstance(found, type) and issubclass(found, PushPlug)):
        raise PushError(f"plug {kind}: {own[kind]} is no PushPlug", next_action=action)
    return found


def push_case(recorder: CaseRecorder, targets: PushTargets, settings: Settings) -> tuple[list[Pushed], dict[str, str]]:
    """Push the case everywhere. Returns what arrived, and by system why it did not.

    A case of a drill goes nowhere. Raises :class:`ForensicsError` where there is nothing to push yet.
    """
    if recorder.case.drill:
        return [], {}
    store = recorder.get(case_keys.TIMELINE_STORE, TimelineStore)
    if store is None:
        raise PushError(
            "the case has no stored timeline yet",
            next_action="wait until report.store_timeline has ended, then clear this task",
        )
    arrived, failed = list[Pushed](), dict[str, str]()
    view = recorder.view()
    with tempfile.TemporaryDirectory(prefix="forensics-push-") as folder:
        case = StoredCase(
            view, store, recorder.gateways.evidence, folder=Path(folder), most_mib=settings.push_mib
        )  # fmt: skip
        for name in targets.names:
            try:
                arrived.append(_push(recorder, targets, settings, case, name))
            except ForensicsError as error:
                failed[name] = f"{error.message}. What to do next: {error.next_action}"
            except Exception as error:
                # The edge to systems and plugs of others: what goes wrong there is no word of a secret in a log, and holds up no other.
                failed[name] = f"{type(error).__name__}. What to do next: look at the plug, then start the DAG case_push with the case's id"  # fmt: skip
    return arrived, failed


def _push(recorder: CaseRecorder, targets: PushTargets, settings: Settings, case: StoredCase, name: str) -> Pushed:
    key = f"{case_keys.PUSHED}{name}"
    access = targets.access(name)
    plug = plug_of(access.kind, pairs(settings.push_plugs))(access, Deadline(settings.push_seconds))
    said = plug.push(case)
    made = Pushed(
        name=name, kind=access.kind, at=datetime.now(UTC), version=case.version, where=said.where, entries=said.entries,
        objects=said.objects, left_out=case.left_out, note=said.note,
    )  # fmt: skip
    if said.entries or said.objects or recorder.get(key, Pushed) is None:
        # Data of the case has left the deployment: the ledger says where to.
        detail = made.model_dump(mode="json", exclude={"at", "left_out"}) | {"left_out": len(made.left_out)}
        recorder.custody(CustodyAction.CASE_PUSHED, detail=detail, facts=CustodyFacts(moved_to=made.where))
        recorder.sign_ledger("push")
        words = f"pushed to {name}: {count(made.entries, 'entry', 'entries')}, {count(made.objects, 'object')}, {made.where}"
        recorder.note("; ".join([words, *([made.note] if made.note else []), *made.left_out])[:900])
    # Last: with it this system has the case.
    recorder.put(key, made)
    return made
