"""The release: the same bytes from the same files, everything listed, damage noticed, nothing that has no business in it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from forensics import document_registry as pinned
from infra.deployment import archives, deploy, package, templates
from infra.deployment.stacks import DeployError

WHEEL = {"rfc8785-0.1.4-py3-none-any.whl": b"stands for the downloaded wheel"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built release; the wheel is a stand-in, since tests use no package index."""
    target = tmp_path_factory.mktemp("dist") / "release"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "wheels", lambda: WHEEL)
        package.build(target)
    return target


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="wheels of another platform are installed here"
)
def test_pip_is_asked_for_the_platforms_of_the_wheels_that_the_release_carries() -> None:
    """What is installed here is what the index has (PEP 427, file WHEEL): pyarrow's need glibc 2.28, and pip was asked for older ones."""
    asked = {tag for tag in package.PLATFORMS if tag != "--platform"} | {"any"}
    for name, version, _ in package.bundled():
        found = metadata.distribution(name)
        tags = re.findall(r"(?m)^Tag: \S+-\S+-(\S+)$", found.read_text("WHEEL") or "")
        assert found.version == version and tags and asked & set(tags), (name, tags)


def test_same_files_give_the_same_bytes(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "wheels", lambda: WHEEL)
    package.build(tmp_path / "again")
    assert (tmp_path / "again" / "SHA256SUMS").read_text() == (release / "SHA256SUMS").read_text()


def test_everything_is_listed_and_damage_is_noticed(release: Path, tmp_path: Path) -> None:
    assert package.verify(release) == []
    for name, data in archives.tree(release).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (tmp_path / "dags" / "forensic_case.py").write_text("import os")
    (tmp_path / "extra").write_text("x")
    (tmp_path / "requirements.txt").unlink()
    assert package.verify(tmp_path) == [
        "requirements.txt: missing",
        "extra: not listed",
        "dags/forensic_case.py: differs",
    ]
    with pytest.raises(DeployError, match="is not what was built"):
        deploy.prepared(tmp_path)


def test_plugins_are_what_the_checkout_has(release: Path) -> None:
    with zipfile.ZipFile(release / "plugins.zip") as archive:
        names = set(archive.namelist())
        for name, data in archives.tree(templates.ROOT / "plugins").items():
            if name != ".airflowignore":
                assert archive.read(name) == data
        assert archive.read(".airflowignore").decode().split() == ["forensics/", "wheels/"]
    assert not [n for n in names if "__pycache__" in n or n.startswith("/") or ".." in n]


def test_requirements_install_nothing_without_a_digest(release: Path) -> None:
    lines = [line for line in (release / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "--no-index"
    pins = [line for line in lines if not line.startswith("--")]
    assert pins and all(" --hash=sha256:" in line for line in pins)


def test_documents_in_templates_have_the_pinned_digest(release: Path) -> None:
    manifest = json.loads((Path(pinned.__file__).with_name("documents.json")).read_text())
    wanted = {entry["name"]: entry["sha256"] for entry in manifest.values()}
    found = {}
    for file in (release / "cloudformation").glob("documents-*.yaml"):
        for resource in yaml.safe_load(file.read_text())["Resources"].values():
            content = resource["Properties"]["Content"]
            found[resource["Properties"]["Name"]] = hashlib.sha256(content.encode()).hexdigest()
    assert found == wanted


def test_toolkit_archive_has_source_lock_and_installer(release: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO((release / "ami" / "toolkit.tar.gz").read_bytes())) as archive:
        modes = {m.name: m.mode for m in archive.getmembers()}
    assert modes["install.sh"] == 0o755 and "toolkit.lock" in modes and "source/pyproject.toml" in modes
    about = json.loads((release / "release.json").read_text())
    assert about["toolkit_sha256"] == hashlib.sha256((release / "ami" / "toolkit.tar.gz").read_bytes()).hexdigest()


def test_templates_fit_into_a_call_or_an_upload(release: Path) -> None:
    for file in (release / "cloudformation").iterdir():
        assert file.stat().st_size < 1_000_000


def test_no_release_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="make package"):
        deploy.prepared(tmp_path)


def test_every_package_of_the_product_is_in_mwaa_s_image_or_comes_with_the_release() -> None:
    """What `requirements/runtime.in` asks for beside the lab's tools, by MWAA's locks and requirements.txt."""
    text = (package.ROOT / "requirements" / "runtime.in").read_text("utf-8").partition("# lab")[0]
    wanted = set(re.findall(r"^([A-Za-z0-9_.-]+)", text, re.M))
    brought = {name for name, _, _ in package.bundled()}
    for lock in sorted((package.ROOT / "requirements").glob("mwaa-*.lock")):
        image = set(re.findall(r"^([A-Za-z0-9_.-]+)==", lock.read_text("utf-8"), re.M))
        assert wanted <= image | brought, f"{lock.name}: pin {sorted(wanted - image - brought)} in requirements.txt"
