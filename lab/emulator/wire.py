"""Errors as each of AWS's protocols writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

QUERY_SERVICES = frozenset({"ec2", "sns", "iam", "sts", "autoscaling", "elasticloadbalancing", "cloudformation"})


def refuse_with(start_response: Any, *, status: int, body: bytes, content_type: str, code: str) -> Iterable[bytes]:
    """Answer with an error body."""
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("x-amzn-ErrorType", code),
        ("x-amzn-RequestId", "lab"),
    ]
    start_response(f"{status} {code}", headers)
    return [body]


def error_body(service: str, *, code: str, message: str) -> tuple[bytes, str]:
    """An error in the protocol of a service: (body, content type)."""
    code_text, text = escape(code), escape(message)
    error = f"<Code>{code_text}</Code><Message>{text}</Message>"
    if service == "ec2":
        xml = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>lab</RequestID></Response>"
    elif service == "s3":
        xml = f"<Error>{error}<RequestId>lab</RequestId></Error>"
    elif service in QUERY_SERVICES:
        inner = f"<Error><Type>Sender</Type>{error}</Error><RequestId>lab</RequestId>"
        xml = f"<ErrorResponse>{inner}</ErrorResponse>"
    else:
        # EBS direct says with each refusal whose it is (botocore's model, AccessDeniedException)
        more = {"Reason": "UNAUTHORIZED_ACCOUNT"} if (service, code) == ("ebs", "AccessDeniedException") else {}
        body = {"__type": code, "message": message, "Message": message, **more}
        return json.dumps(body).encode(), "application/json"
    return f"<?xml version='1.0' encoding='UTF-8'?>{xml}".encode(), "text/xml"
