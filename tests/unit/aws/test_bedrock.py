"""Bedrock is asked by its Converse API: parameters and answers are held against botocore's model of the service."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from forensics.aws.bedrock import BedrockGateway
from forensics.errors import AccessDeniedError

MODEL = "vendor.model-v1:0"


def asked(stop: str = "end_turn", *, guardrail: str = "", **more: Any) -> Any:
    client = boto3.client(
        "bedrock-runtime", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    expected = {
        "modelId": MODEL, "system": [{"text": "s"}], "messages": [{"role": "user", "content": [{"text": "u"}]}],
        "inferenceConfig": {"maxTokens": 700, "temperature": 0.0}, **more,
    }  # fmt: skip
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]}},
        "stopReason": stop,
        "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
        "metrics": {"latencyMs": 5},
    }
    with Stubber(client) as stub:
        stub.add_response("converse", answer, expected)
        said = BedrockGateway(client, model=MODEL, region="eu-central-1", guardrail=guardrail).ask(
            "s", "u", most_tokens=700
        )
        stub.assert_no_pending_responses()
    return said


def test_one_question_gives_one_answer_without_tools() -> None:
    said = asked()
    assert (said.text, said.stopped, said.input_tokens, said.output_tokens) == ("ab", "", 11, 7)


@pytest.mark.parametrize("stop", ["max_tokens", "guardrail_intervened", "content_filtered", "tool_use"])
def test_an_answer_that_did_not_come_to_its_own_end_says_why(stop: str) -> None:
    assert asked(stop).stopped == stop


def test_a_guardrail_of_the_deployment_is_used() -> None:
    config = {"guardrailIdentifier": "abc123", "guardrailVersion": "2"}
    assert asked(guardrail="abc123:2", guardrailConfig=config).text == "ab"


def test_a_refusal_is_the_products_error() -> None:
    client = boto3.client(
        "bedrock-runtime", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    with Stubber(client) as stub, pytest.raises(AccessDeniedError, match=f"ask the model {MODEL} in eu-central-1"):
        stub.add_client_error("converse", "AccessDeniedException", "You don't have access to the model")
        BedrockGateway(client, model=MODEL, region="eu-central-1").ask("s", "u", most_tokens=1)
