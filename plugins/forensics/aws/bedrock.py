"""Amazon Bedrock: a foundation model of the home Region is asked, with no tools, within limits of tokens and seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

# What stops a model that has said all it had to say (Bedrock API reference, Converse, stopReason).
_OWN_END = frozenset({"end_turn", "stop_sequence"})


class BedrockRuntimeClient(Protocol):
    """The part of boto3's client that is used; botocore's model of the service holds the calls in a test."""

    def converse(self, **given: Any) -> Any:
        """Converse."""


@dataclass(frozen=True)
class Said:
    """An answer; ``stopped`` is empty where the model came to its own end."""

    text: str
    stopped: str
    input_tokens: int
    output_tokens: int


class BedrockGateway:
    """One model in one Region."""

    def __init__(self, client: BedrockRuntimeClient, *, model: str, region: str, guardrail: str = "") -> None:
        self._bedrock = client
        self._region, self._guardrail, self.model = region, guardrail, model

    @classmethod
    def of(cls, session: AwsSession, *, model: str, guardrail: str = "", seconds: float = 60.0) -> Self:
        """The model in the session's Region; two tries take ``seconds`` at most."""
        client = session.impatient(seconds / 26).client(
            "bedrock-runtime"
        )  # twice 3 s to connect and 10 s to answer, by this factor
        return cls(cast("BedrockRuntimeClient", client), model=model, region=session.region, guardrail=guardrail)

    def ask(self, system: str, user: str, *, most_tokens: int) -> Said:
        """One question, one answer (Converse). Raises :class:`AwsError`."""
        name, _, version = self._guardrail.partition(":")
        guardrail = {"guardrailConfig": {"guardrailIdentifier": name, "guardrailVersion": version}} if name else {}
        with aws_errors(f"ask the model {self.model} in {self._region}"):
            got = self._bedrock.converse(
                modelId=self.model,
                system=[{"text": system}],
                messages=[{"role": "user", "content": [{"text": user}]}],
                inferenceConfig={"maxTokens": most_tokens, "temperature": 0.0},
                **guardrail,
            )
        content = got["output"].get("message", {}).get("content", [])
        stop, usage = str(got["stopReason"]), got["usage"]
        return Said(
            text="".join(str(part["text"]) for part in content if "text" in part),
            stopped="" if stop in _OWN_END else stop,
            input_tokens=int(usage["inputTokens"]),
            output_tokens=int(usage["outputTokens"]),
        )
