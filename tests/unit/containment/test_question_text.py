"""A question as people read it: nothing that somebody else has written can hide, fake or link anything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from forensics.containment.call_sentences import call_sentence
from forensics.containment.manual_steps import manual_steps
from forensics.containment.plan_text import manual_lines
from forensics.containment.question_text import QuestionText, isolation_text, question_body, release_text
from forensics.containment.release_plan import release_calls
from forensics.models.approval import Approval, Askers, Person
from forensics.models.containment import ApiCall, ContainmentPlan
from tests.unit.builders import CASE_ID, NOW
from tests.unit.containment.account import Account
from tests.unit.containment.targets import GROUP, everything, facts, planned

# What remark-gfm makes links of after parsing (mdast-util-gfm-autolink-literal): escapes do not help against it.
AUTOLINK = re.compile(r"https?://|www\.|[-.\w+]+@[-\w]+\.[-\w]+", re.IGNORECASE)
TRICKS = {
    "comment": "<!--",
    "comment on a line of its own": "false alarm, **dry run: 0 calls, nothing is changed**\n\n<!--",
    "html": "<details><summary>x</summary>\n<img src=https://evil.example/a.png>",
    "image": "![x](https://evil.example/a.png)",
    "link": "[the runbook](https://evil.example)",
    "autolink": "see https://evil.example, www.evil.example or soc@evil.example",
    "reference": "[x]: https://evil.example\n[x]",
    "backticks": "`` ` `` ```\n~~~",
    "code fence": "\n```\n",
    "table": "a | b\n--- | ---\n1 | 2",
    "heading": "\n# Approved by the CISO\n\n1. nothing",
    "quote and list": "\n> quote\n\n* item\n\n---\n",
    "zero width": "alice\u200b\u2060\ufeff\u00ad",
    "bidi": "\u202eelpmaxe\u202c \u2066x\u2069",
    "invisible letters": "\u3164\u115f\u2800\u034f\ufe0f\U000e0041",
    "entities": "&lt;!-- &#96; &nbsp;",
    "backslash": "\\` \\\\` \\",
    "control": "\x1b[2J\x00\r\x08",
    "surrogate": "\ud800",
    "zalgo": "a" + "\u0301" * 30,
}


def question(**changes: Any) -> Approval:
    """An open question."""
    given = {"digest": "d" * 64, "open": True, "at": NOW, "until": NOW, "reason": "waits", "needed": 2}
    askers = Askers(known=(Person(login="alice"),), unknown=("nobody says who pressed it",))
    return Approval(**{**given, "askers": askers, **changes})


def calls_of_a_release() -> list[ApiCall]:
    """Everything that a release may have to change."""
    plan = planned(everything())
    account = Account(everything())
    account.change(
        interfaces=tuple(
            i.model_copy(update={"group_ids": ("sg-q",), "addresses": ()}) for i in account.target.interfaces
        )
    )
    changed = {
        "metadata": everything().metadata.model_copy(update={"endpoint": "disabled"}),  # type: ignore[union-attr]
        "memberships": (),
        "profile": None,
        "termination_protected": True,
        "auto_recovery": "disabled",
        "scaling": everything().scaling.model_copy(update={"lifecycle": "Standby", "protected": True}),  # type: ignore[union-attr]
    }
    account.change(**changed)
    assert plan.steps
    return release_calls(everything(), facts=account.target, case_id=CASE_ID)


def flat(tokens: list[Token]) -> list[Token]:
    """All tokens, the inline ones too."""
    return [inner for token in tokens for inner in (token, *flat(token.children or []))]


def rendered(body: str) -> list[Token]:
    """The body as CommonMark with GitHub's tables and strikethrough reads it."""
    return flat(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body))


def hostile_bodies(text: str) -> dict[str, str]:
    """Questions in which the text stands wherever somebody else may have written it."""
    calls = [*calls_of_a_release(), ApiCall(service="ec2", operation="made_up", params={"Name": text})]
    # a lone surrogate is no text of a model: it can only be in what is read from outside
    name = text.replace("\ud800", "?")
    asked_for = Askers(known=(Person(login=name, id=name),), unknown=(name,))
    plan = planned(everything(), approval=(text,))
    step = plan.steps[0].model_copy(update={"target": text, "reason": text, "side_effects": (text,)})
    plan = plan.model_copy(update={"steps": (step, *plan.steps[1:]), "residuals": (text,)})
    release = release_text(calls, warnings=(text,), said=(("Reason", text), ("Requested by", text)), page="")
    return {
        "release": question_body(question(askers=asked_for), release),
        "isolation": question_body(question(askers=asked_for), isolation_text(plan, preflight=None, page="")),
    }


HARMLESS = {kind: hostile_bodies("harmless") for kind in ("all",)}["all"]


@pytest.mark.parametrize("which", ["release", "isolation"])
@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_hides_fakes_or_links(trick: str, which: str) -> None:
    body = hostile_bodies(TRICKS[trick])[which]
    tokens, honest = rendered(body), rendered(HARMLESS[which])
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "image", "link_open", "table_open", "fence", "heading_open", "hr"}

    def blocks(found: list[Token]) -> list[str]:
        return [t.type for t in found if t.block and t.type != "inline"]

    assert blocks(tokens) == blocks(honest), "the same paragraphs, lists and entries as with a harmless text"
    plain = "".join(
        t.content if t.type == "text" else "\x00" for t in tokens if not t.children and t.type != "code_inline"
    )
    assert not AUTOLINK.search(plain)
    assert not re.search(
        r"[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufe0f\u3164]",
        body,
    )


def test_every_call_is_shown_whole_and_before_what_others_have_said() -> None:
    calls = calls_of_a_release()
    many = [
        ApiCall(service="ec2", operation="delete_security_group", params={"GroupId": f"sg-{n}"}) for n in range(200)
    ]
    text = release_text(
        [*calls, *many], warnings=(), said=(("Reason", "false alarm"),), page="https://x.example/case/1"
    )
    body = question_body(question(), text)
    places = [body.index(f"\n{n}. `{call}`") for n, call in enumerate([*calls, *many], 1)]
    assert places == sorted(places) and places[-1] < body.index("Reason: `false alarm`")
    for call in [*calls, *many]:
        assert json.dumps(call.params, sort_keys=True) in body
    assert "**All 2" in body and "[the case's page](https://x.example/case/1)" in body


def test_what_opens_is_said_in_sentences_before_the_calls() -> None:
    body = question_body(question(), release_text(calls_of_a_release(), warnings=(), said=(), page=""))
    opening, _, _ = body.partition("**All ")
    assert "* Network interface eni-0 gets exactly these security groups: sg-app" in opening
    assert "* Opens: credentials of role" in opening or "gets its instance profile app back" in opening
    assert "gets its Elastic IP eipalloc-1 back" in opening


def every_call() -> list[ApiCall]:
    """The calls of a whole containment, their undo, and of a release."""
    plans = [planned(everything(), revoke_role=True), planned(everything(deny_profile_exists=False), deny_profile="")]
    steps = [step for plan in plans for step in plan.steps]
    return [*(s.call for s in steps), *(undo for s in steps for undo in s.undo), *calls_of_a_release()]


def test_every_call_that_the_product_makes_has_a_sentence_of_its_own() -> None:
    unsaid = {str(call) for call in every_call() if call_sentence(call).startswith("Calls ")}
    assert not unsaid and len({str(call) for call in every_call()}) > 12


def test_the_end_the_default_and_who_may_answer_come_first() -> None:
    body = question_body(question(), QuestionText(effects=("It opens.",), accept="Release", default="Keep it"))
    first, _, third, fourth, *_ = body.splitlines()
    assert first == f"**Answer until {NOW:%Y-%m-%d %H:%M:%SZ}. No answer means: Keep it.**"
    assert third == "* Two different people have to choose “Release”: nobody says who pressed it"
    assert fourth == "* alice asked for it: their “Release” does not count, and the question stays open"
    alone = QuestionText(effects=(), two_persons=False)
    assert "it may be the one who asked" in question_body(question(), alone)


def isolation_body(plan: ContainmentPlan) -> str:
    """The question whether to carry the plan out."""
    return question_body(question(), isolation_text(plan, preflight=None, page=""))


def test_who_else_is_affected_is_said() -> None:
    steps = {s.id: s.side_effects for s in planned(everything()).steps}
    assert "replacement" in steps["scaling.leave"][0]
    assert "NO other target stays" in steps[f"balancer.{GROUP}.i-0123456789abcdef0.80"][0]
    assert "198.51.100.7" in steps["address.198.51.100.7.eni-0"][0]
    text = isolation_body(planned(everything(), approval=("production",)))
    assert "production" in text and "Also affected" in text and "autoscaling.enter_standby" in text


def test_the_plan_of_an_eks_node_shows_what_is_left_to_a_person() -> None:
    node = facts(eks_cluster="shop")
    plan = planned(node)
    assert [s.id for s in plan.manual_steps] == [s.id for s in manual_steps(node, case_id=CASE_ID)]
    assert "Manual steps" in isolation_body(plan) and "never drain it" in isolation_body(plan)
    assert any("never drain it" in line for line in manual_lines(plan.manual_steps))
