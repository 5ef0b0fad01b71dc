"""Bedrock's runtime answers Converse (API reference, *Converse*), which moto lacks: with an empty list of sentences, whatever it is asked."""

from __future__ import annotations

from typing import Any

from moto.bedrockruntime.responses import BedrockRuntimeResponse
from moto.core.responses import ActionResult

from lab.emulator.patches.patching import add

ANSWER = '{"sentences": []}'


def _converse(self: Any) -> ActionResult:
    asked = len(str(self._get_param("messages")))
    usage = {"inputTokens": asked, "outputTokens": len(ANSWER), "totalTokens": asked + len(ANSWER)}
    return ActionResult(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
            "stopReason": "end_turn",
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }
    )


def apply() -> None:
    """Install the patch."""
    add(BedrockRuntimeResponse, "converse", _converse)
