"""No image of the compose file or the lab floats, and ``make compose-pin`` writes digests that the registry gave."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from scripts import compose_pin

DIGEST = f"sha256:{'ab' * 32}"
IMAGES = {"apache/airflow:3.3.1-python3.12", "postgres:17.6-bookworm", "python:3.12.12-slim-bookworm"}


def test_every_outside_image_has_a_complete_version() -> None:
    found = {
        i for name in compose_pin.FILES for i, _ in compose_pin.references((compose_pin.ROOT / name).read_text("utf-8"))
    }
    assert {image.partition(":")[0] for image in found} == {image.partition(":")[0] for image in IMAGES}
    assert [image for image in found if compose_pin.floats(image)] == []


@pytest.mark.parametrize(
    "image", ["postgres", "postgres:latest", "postgres:17", "python:3.12-slim", "apache/airflow:slim-3.3.1", "python:3"]
)
def test_a_tag_that_moves_is_refused(image: str) -> None:
    assert compose_pin.floats(image)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two files, and a docker that knows one digest for every image."""
    for name in compose_pin.FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((compose_pin.ROOT / name).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(compose_pin, "ROOT", tmp_path)
    return tmp_path


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_digests_stand_behind_the_tags_and_are_replaced_the_next_time(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(checkout, monkeypatch, f"""[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo '{{"digest":"{DIGEST}"}}'""")
    before = {name: (checkout / name).read_text("utf-8") for name in compose_pin.FILES}
    assert compose_pin.main(["--check"]) == 1 or all("@sha256:" in text for text in before.values())
    assert compose_pin.main([]) == compose_pin.main([]) == compose_pin.main(["--check"]) == 0
    for name, text in before.items():
        after = (checkout / name).read_text("utf-8")
        assert {digest for _, digest in compose_pin.references(after)} == {DIGEST}
        assert [image for image, _ in compose_pin.references(after)] == [i for i, _ in compose_pin.references(text)]
        assert after.count("\n") == text.count("\n") and after.count(DIGEST) == len(compose_pin.references(text))


def test_without_a_registry_nothing_is_changed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(checkout, monkeypatch, "echo 'lookup registry-1.docker.io: no such host' >&2; exit 1")
    before = (checkout / "docker-compose.yml").read_bytes()
    with pytest.raises(SystemExit, match="no such host"):
        compose_pin.main([])
    assert (checkout / "docker-compose.yml").read_bytes() == before


def test_an_answer_that_is_no_digest_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(checkout, monkeypatch, """echo '{"digest":"sha256:short"}'""")
    with pytest.raises(SystemExit, match="is not known"):
        compose_pin.main([])
