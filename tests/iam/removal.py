"""Plays the story under enforcement, takes each statement away before the step that first needs it, and judges what happens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.aws import session as aws_session
from lab.emulator.iam.check import Place, Policies, allowing, refusals, without
from lab.seed.accounts import Account
from tests.iam.steps import Step
from tests.iam.story import Story

Say = Callable[[str], None]


@dataclass(frozen=True)
class Attempt:
    """One try of a step: how it ended (empty when well), and every question that was asked."""

    error: str
    asked: tuple[dict[str, Any], ...]
    seconds: float

    @property
    def denied(self) -> list[dict[str, Any]]:
        """What was refused."""
        return [dict(a) for a in refusals(self.asked)]


@dataclass
class Verdict:
    """What became of one statement that was taken away."""

    place: Place
    step: str
    how: str = ""
    denied: str = ""
    words: str = ""

    @property
    def proven(self) -> bool:
        """Whether the step missed the statement and said so."""
        return self.how in ("fails", "says so")


@dataclass
class Play:
    """One lab and the story in it."""

    story: Story
    log: Say
    records: list[tuple[str, tuple[dict[str, Any], ...]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def attempt(self, step: Step) -> Attempt:
        """Try a step, with sessions of its own."""
        self.take()
        aws_session.forget()
        began, error = time.monotonic(), ""
        try:
            step.run()
        except Exception as raised:  # whatever ends the step is what a person would read
            error = f"{type(raised).__name__}: {raised}"
        return Attempt(error, tuple(self.take()), time.monotonic() - began)

    def take(self) -> list[dict[str, Any]]:
        """Questions since the last call."""
        return list(self.story.lab.control("iam-record", {})["asked"])

    def shown(self) -> str:
        """Everything that people can read: the case store and the messages."""
        lab = self.story.lab
        pages = lab.client("dynamodb").get_paginator("scan").paginate(TableName=lab.facts["case_table"])
        items = [json.dumps(item, sort_keys=True) for page in pages for item in page["Items"]]
        return "\n".join([*items, *(m["message"] for m in lab.mail())])

    def through(
        self, removals: Mapping[str, list[Place]], policies: Mapping[str, Policies], *, until: str = ""
    ) -> list[Verdict]:
        """Play every step (``until`` is the last); before each, take away the statements listed for it, one at a time."""
        verdicts: list[Verdict] = []
        for step in self.story.steps():
            step.prepare()
            for place in removals.get(step.name, []):
                step.renew()
                verdicts.append(self._missing(step, place, policies[place.role]))
            step.renew()
            done = self.attempt(step)
            self.records.append((step.name, done.asked))
            refused = [f"{d['action']} on {d['resource']}: {d['by']}" for d in done.denied]
            self.log(f"  {done.seconds:6.1f} s  {step.name}")
            if done.error or refused:
                self.problems.append(f"{step.name}, every statement in place: {done.error} refused: {refused}")
                self.log(f"PROBLEM: {self.problems[-1]}")
            if step.name == until:
                break
        return verdicts

    def _missing(self, step: Step, place: Place, policies: Policies) -> Verdict:
        """One statement away: the step must fail, or tell people what it was refused."""
        before = self.shown()
        self._put(place, without(policies, place)[place.policy])
        try:
            tried = self.attempt(step)
        finally:
            self._put(place, policies[place.policy])
        mine = [d for d in tried.denied if f"{d['account']}/{d['role']}" == place.role]
        verdict = Verdict(place, step.name)
        if not mine:
            verdict.how, verdict.words = "not asked", tried.error
        elif tried.error:
            verdict.how, verdict.words = "fails", tried.error
        else:
            action, shown = mine[0]["action"], self.shown()
            known = shown.count(action) > before.count(action)
            verdict.how = "says so" if known else "silent"
        if mine:
            verdict.denied = f"{mine[0]['action']} on {mine[0]['resource']}"
        self.story.forgive()
        self.log(f"  {tried.seconds:6.1f} s  without {place}: {step.name} {verdict.how} ({verdict.denied})")
        return verdict

    def _put(self, place: Place, document: Mapping[str, Any]) -> None:
        account, _, role = place.role.partition("/")
        iam = Account(account, self.story.lab.endpoint).client("iam")
        if document["Statement"]:
            iam.put_role_policy(RoleName=role, PolicyName=place.policy, PolicyDocument=json.dumps(document))
        else:
            iam.delete_role_policy(RoleName=role, PolicyName=place.policy)


def first_needs(
    records: list[tuple[str, tuple[dict[str, Any], ...]]], policies: Mapping[str, Policies]
) -> dict[str, list[Place]]:
    """Step → the statements that it is the first to need, in the order in which it needs them."""
    seen: set[Place] = set()
    found: dict[str, list[Place]] = {}
    for step, asked in records:
        for item in asked:
            role = f"{item['account']}/{item['role']}"
            places = allowing(policies.get(role, {}), role, item)
            if len(places) == 1 and places[0] not in seen:
                seen.add(places[0])
                found.setdefault(step, []).append(places[0])
    return found
