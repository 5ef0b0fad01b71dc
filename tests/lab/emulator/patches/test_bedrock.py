"""Converse of the lab: one answer, in the form of the API."""

from __future__ import annotations

from lab.emulator.patches.bedrock import ANSWER
from tests.lab.conftest import Lab


def test_a_model_answers(lab: Lab) -> None:
    got = lab.client("bedrock-runtime").converse(
        modelId="vendor.model-v1:0",
        messages=[{"role": "user", "content": [{"text": "x"}]}],
        inferenceConfig={"maxTokens": 10, "temperature": 0.0},
    )
    assert got["output"]["message"]["content"] == [{"text": ANSWER}] and got["stopReason"] == "end_turn"
