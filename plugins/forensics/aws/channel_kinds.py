"""How a message is given to each kind of channel: Amazon Q Developer by SNS, a signed webhook, Apprise.

Each raises :class:`ChannelError` when the channel has not taken the message; what went wrong is said without the channel's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

from forensics.errors import ChannelError
from forensics.models.channels import ChannelMessage

SECONDS = 5.0  # to connect, and to answer: a step of a case waits for it
SIGNATURE = "X-Forensics-Signature"
SCHEMA = "forensics.message/1"


def custom_notification(message: ChannelMessage) -> str:
    """The message for Amazon Q Developer in chat applications, in its schema for custom notifications.

    ``version`` must be 1.0 and ``source`` custom; ``client-markdown`` is the only text type; all messages of a thread id are one thread
    (Amazon Q Developer in chat applications administrator guide, "Custom notifications", "Event schema").
    """
    steps = [f"{_plain(words)}: {address}" for words, address in message.links]
    return json.dumps(
        {
            "version": "1.0",
            "source": "custom",
            "id": message.id,
            "content": {
                "textType": "client-markdown",
                "title": _plain(message.subject),
                "description": "\n".join(map(_plain, message.lines)),
                **({"nextSteps": steps} if steps else {}),
                "keywords": [w for w in (message.case_id, message.severity and message.severity.value, "DRILL" if message.drill else "") if w],
            },
            "metadata": {
                "threadId": message.case_id,
                "summary": _plain(message.subject),
                "eventType": message.event.partition(":")[0],
                "relatedResources": [message.case_id],
            },
        }
    )  # fmt: skip


def _plain(text: str) -> str:
    """What hosts and findings wrote is no mention, link or format of a chat: signs that Slack or Teams read are shown otherwise."""
    for sign, shown in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
    ):  # Slack, "Formatting text for app surfaces", escaping
        text = text.replace(sign, shown)
    return (
        text.replace("*", "\u2217")
        .replace("`", "'")
        .replace("_", "\uff3f")
        .replace("[", "(")
        .replace("]", ")")
        .replace("@", "(at)")
    )


def webhook_body(message: ChannelMessage) -> bytes:
    """The body of a webhook: one JSON object."""
    return json.dumps({"schema": SCHEMA, **message.model_dump(mode="json")}, sort_keys=True).encode()


def signature(body: bytes, *, key: str, at: int) -> str:
    """``t=<Unix time>,v1=<HMAC-SHA-256 of "<time>.<body>", hexadecimal>`` (RFC 2104)."""
    digest = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def post_webhook(message: ChannelMessage, *, url: str, key: str) -> None:
    """Post a message with its signature; redirects are not followed, and only 2xx is an answer."""
    body = webhook_body(message)
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: signature(body, key=key, at=int(time.time())),
        "X-Forensics-Id": message.id,
    }
    host = urlsplit(url).hostname or "?"
    import requests  # five megabytes that every task would hold, and few deployments have such a channel

    try:
        answer = requests.post(url, data=body, headers=headers, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise ChannelError(f"the webhook at {host} was not reached: {type(error).__name__}") from None
    if not 200 <= answer.status_code < 300:
        raise ChannelError(f"the webhook at {host} answered {answer.status_code}")


def notify_apprise(message: ChannelMessage, *, url: str) -> None:
    """Give a message to the service of an Apprise URL."""
    try:
        import apprise
    except ImportError:
        action = "add apprise to requirements.txt of the environment (docs/channels.md)"
        raise ChannelError("the library apprise is not installed", next_action=action) from None
    service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, app_id="ec2-forensics", image_url_mask=None))
    if not service.add(url):
        action = "correct the secret: apprise's own documentation has the form of each service's URL"
        raise ChannelError("its URL is none that apprise knows", next_action=action)
    body = "\n".join([*message.lines, *(f"{words}: {address}" for words, address in message.links)])
    kind = apprise.NotifyType.INFO if message.drill else apprise.NotifyType.FAILURE
    if not service.notify(title=message.subject, body=body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT):
        raise ChannelError(f"{urlsplit(url).scheme} did not take the message")
