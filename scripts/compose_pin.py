"""Pin the outside images of docker-compose.yml and lab/Dockerfile by digest: ``make compose-pin``; ``--check`` only reads.

A tag may be put on other bytes tomorrow, a digest cannot. The registry is asked through Docker's own client
(``docker buildx imagetools inspect``, Docker CLI reference), and the digest is written behind the tag: name, version and
bytes stay readable together. Commit the result. Where no registry can be asked nothing is changed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("docker-compose.yml", "lab/Dockerfile")
# How many numbers a complete version has; two for PostgreSQL (its versioning policy: major.minor since 10).
VERSION_PARTS = {"postgres": 2}
_REFERENCE = re.compile(
    r"^[ \t]*(?:FROM|image:)[ \t]+(?P<image>[a-z0-9][^\s@]*?)(?P<digest>@sha256:[0-9a-f]{64})?[ \t]*$", re.MULTILINE
)
# Images that the compose file builds itself.
_OWN = "ec2-forensics-"


def references(text: str) -> list[tuple[str, str | None]]:
    """Outside images of a compose file or Dockerfile, each with its digest (``sha256:…``) where there is one."""
    found = [(m["image"], (m["digest"] or "")[1:] or None) for m in _REFERENCE.finditer(text)]
    return [(image, digest) for image, digest in found if not image.startswith(_OWN)]


def floats(image: str) -> bool:
    """Whether a tag moves with each release: none, ``latest``, or a version that is not complete."""
    name, _, tag = image.partition(":")
    version = re.match(r"[0-9]+(?:\.[0-9]+)*", tag)
    return version is None or len(version[0].split(".")) < VERSION_PARTS.get(name.rpartition("/")[2], 3)


def pinned(text: str, digests: dict[str, str]) -> str:
    """The file with each image's digest behind its tag; a digest that was there is replaced."""

    def write(match: re.Match[str]) -> str:
        digest = digests.get(match["image"])
        if digest is None:
            return match[0]
        head = match[0][: match.start("image") - match.start()]
        return f"{head}{match['image']}@{digest}"

    return _REFERENCE.sub(write, text)


def digest_of(image: str) -> str:
    """The digest that the registry gives for a tag; :class:`SystemExit` says what failed and what to do."""
    docker = shutil.which("docker")
    if docker is None:
        sys.exit("compose-pin: docker is not installed here; run it where docker and the registry can be reached")
    command = [docker, "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        digest = json.loads(asked.stdout)["digest"] if asked.returncode == 0 else ""
    except (ValueError, KeyError, TypeError):
        digest = ""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        reason = (asked.stderr.strip() or asked.stdout.strip() or "no answer").splitlines()[-1]
        sys.exit(
            f"compose-pin: the digest of {image} is not known: {reason}\n"
            "  nothing was changed; run it where the registry can be reached and docker has buildx"
        )
    return digest


def main(arguments: list[str]) -> int:
    """Pin, or with ``--check`` name each image that is not pinned; returns the exit code."""
    texts = {name: (ROOT / name).read_text("utf-8") for name in FILES}
    found = [(name, image, digest) for name, text in texts.items() for image, digest in references(text)]
    for name, image, _ in found:
        if floats(image):
            sys.exit(f"{name}: {image} is a floating tag; name a complete version")
    if "--check" in arguments:
        loose = [
            f"{name}: {image} has no digest; make compose-pin writes it" for name, image, digest in found if not digest
        ]
        print("\n".join(loose or [f"{len(found)} images are pinned by digest"]))
        return 1 if loose else 0
    digests = {image: digest_of(image) for image in sorted({image for _, image, _ in found})}
    for name, text in texts.items():
        (ROOT / name).write_text(pinned(text, digests), "utf-8")
    print("\n".join(f"{image}@{digest}" for image, digest in digests.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
