"""What a place on the disk says about a file: a developer's tree, a layer of a container image, a hidden or temporary place.

A dot in a path is hiding only where nobody expects it: virtual environments, checkouts and caches of tool chains have such
folders on every server that people build on. A name alone is not believed: the tree must have the mark that its tool leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import TEMPORARY, Tree, is_hidden
from forensic_toolkit.readers import containers

# Folder names of tools, and the file below them that the tool itself makes.
_MARKS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"\.?(venv|virtualenv|env)[^/]*"), ("pyvenv.cfg", "bin/activate")),
    (re.compile(r"\.git"), ("HEAD",)),
    (re.compile(r"\.(hg|svn|bzr)"), ("requires", "wc.db", "format", "branch-format")),
    (
        re.compile(r"\.(tox|nox)"),
        (".tox-info.json", ".package.lock", "py3/pyvenv.cfg", "lint/pyvenv.cfg", "CACHEDIR.TAG"),
    ),
    (re.compile(r"\.(cargo|rustup)"), ("env", "settings.toml", "config", "config.toml", "registry")),
    (
        re.compile(r"\.(pyenv|rbenv|nodenv|goenv|jenv|asdf|nvm|sdkman|rvm)"),
        (
            "bin/pyenv",
            "bin/rbenv",
            "bin/nodenv",
            "bin/goenv",
            "bin/jenv",
            "asdf.sh",
            "nvm.sh",
            "bin/sdkman-init.sh",
            "scripts/rvm",
        ),
    ),
)
# Folders that tools make inside a project or a folder of modules; a folder of that name anywhere else is nobody's.
_IN_PROJECT = re.compile(
    r"\.(npm|yarn|pnpm(-store)?|gradle|m2|ivy2|sbt|gem|bundle|composer|dotnet|terraform(\.d)?|vagrant|ansible|cache|next|nuxt"
    r"|vscode|idea|mypy_cache|pytest_cache|ruff_cache|husky|github|circleci|devcontainer|bin|build|eggs|ipynb_checkpoints)"
)
_PROJECT_FILES = (
    "package.json", "pyproject.toml", "setup.py", "requirements.txt", "Gemfile", "go.mod", "Cargo.toml", "pom.xml",
    "build.gradle", "composer.json", "Makefile", ".git/HEAD",
)  # fmt: skip
_DEVELOPERS_ROOT = re.compile(
    r"^/(home|root|opt|srv|var/www|var/lib|mnt|data|apps?|workspace|builds|actions-runner)(/|$)"
)
GIT_SAMPLE = re.compile(r"/hooks/[^/]+\.sample$")
# Layers of images and of containers: Docker, Podman and CRI-O, containerd, each also in users' homes.
LAYER = re.compile(
    r"^(?P<store>/(?:var/lib|var/snap/docker/common/var-lib|home/[^/]+/\.local/share|mnt/[^/]+|data|opt|srv)?(?:/[^/]+)*?/?)"
    r"(?:(?P<docker>overlay2|fuse-overlayfs|vfs/dir)/(?P<layer>[0-9a-z]{26,64}(?:-init)?)/(?:diff/)?"
    r"|(?P<podman>containers/storage/overlay)/(?P<other>[0-9a-z]{26,64})/diff/"
    r"|(?P<containerd>io\.containerd\.snapshotter\.v1\.[a-z-]+)/snapshots/(?P<number>\d+)/fs/)(?P<inside>.*)$"
)


def layer_of(path: str) -> tuple[str, str] | None:
    """(the layer's folder, path within the container) of a file in a container store, or None."""
    match = LAYER.match(path)
    if match is None:
        return None
    name = next(name for name in ("layer", "other", "number") if match[name])
    return path[: match.end(name)], "/" + match["inside"]


def writable_layers(tree: Tree) -> frozenset[str]:
    """The folders of layers that running or stopped containers wrote to, by what their runtimes recorded."""
    return _writable(tree)


@lru_cache(maxsize=4)
def _writable(tree: Tree) -> frozenset[str]:
    known = set(containers.by_layer(tree))
    for entry in tree.files(r".*/image/[a-z0-9-]+/layerdb/mounts/[0-9a-f]{64}/mount-id"):
        root, _, rest = entry.path.rpartition("/image/")
        known.add(f"{root}/{rest.split('/', 1)[0]}/{entry.read(limit=128).decode('utf-8', 'replace').strip()}")
    return frozenset(known)


def in_image(entry: Entry, *, tree: Tree) -> bool:
    """Whether a file came with a container's image: it is in a layer that no container writes to."""
    layer = layer_of(entry.path)
    return layer is not None and layer[0] not in writable_layers(tree)


def in_developers_tree(path: str, *, tree: Tree) -> bool:
    """Whether every hidden folder of a path belongs to a developer's tool."""
    return is_hidden(path) and not is_hidden(_without_marked(path, tree=tree)) and bool(_DEVELOPERS_ROOT.match(path))


def _without_marked(path: str, *, tree: Tree) -> str:
    parts, kept = path.split("/"), [""]
    for number, part in enumerate(parts[1:], start=1):
        folder = "/".join(parts[: number + 1])
        if part.startswith(".") and number < len(parts) - 1 and _marked(part, folder, _there(tree)):
            continue
        kept.append(part)
    return "/".join(kept)


def _there(tree: Tree) -> Callable[[str], bool]:
    return lambda path: tree.get(path) is not None


def _marked(name: str, folder: str, there: Callable[[str], bool]) -> bool:
    for pattern, marks in _MARKS:
        if pattern.fullmatch(name):
            return any(there(f"{folder}/{mark}") for mark in marks)
    around = folder.rsplit("/", 1)[0]
    project = around.endswith("/node_modules") or any(there(f"{around}/{mark}") for mark in _PROJECT_FILES)
    return bool(_IN_PROJECT.fullmatch(name)) and project


def is_odd(path: str, *, tree: Tree) -> bool:
    """Whether a path is hidden or temporary, where no program that a system starts belongs."""
    return bool(TEMPORARY.match(path)) or (is_hidden(path) and not in_developers_tree(path, tree=tree))
