"""Containers as real runtimes recorded them (data/containers/make.sh), and databases that are damaged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensic_toolkit.readers import bolt, containerd, containers, orchestrators
from tests.toolkit import container_trees
from tests.toolkit.fake_tree import Builder


def by_label(found: containers.Found) -> dict[str, containers.Container]:
    return {container.label: container for container in found.containers}


def test_a_bbolt_database_has_what_ctr_listed() -> None:
    """43 were created and 15 removed: branch pages, freed pages and inline buckets."""
    root = bolt.read(container_trees.database("meta.db"))
    named = {name.decode() for name in bolt.below(root, "v1", "k8s.io", "containers")}
    removed = set(range(1, 31, 2))
    assert named == {"web", "helper", "miner"} | {f"job-{n}" for n in range(1, 41) if n not in removed}


def test_a_pod_of_containerd_with_image_digest_mounts_privileges_and_layer() -> None:
    found = containers.of(container_trees.containerd().tree())
    assert not found.problems
    known = by_label(found)
    helper = known["helper (pod shop/node-helper-x2)"]
    assert (helper.runtime, helper.image) == ("containerd", "registry.example/shop/web:1.4")
    assert helper.digest.startswith("sha256:")
    assert len(helper.digest) == 71
    assert helper.command == "/bin/chroot /host"
    assert helper.privileged
    assert set(helper.host_namespaces) >= {"processes", "network"}
    assert containers.Mount("/", "/host", True) in helper.mounts
    assert helper.layer == f"{container_trees.SNAPSHOTS}/snapshots/4"
    assert helper.image_layers == (
        f"{container_trees.SNAPSHOTS}/snapshots/2",
        f"{container_trees.SNAPSHOTS}/snapshots/1",
    )
    web = known["web (pod shop/web-7c9d)"]
    assert (web.privileged, web.capabilities, web.host_namespaces, web.mounts) == (False, (), (), ())
    assert web.created is not None
    assert web.created.date().isoformat() == "2026-11-30"
    assert known["batch (pod shop/batch-1)"].capabilities == ("SYS_ADMIN",)


def test_a_task_of_ecs_in_docker() -> None:
    known = by_label(containers.of(container_trees.docker()))
    assert set(known) == {"web", "helper", "worker (ECS task batch:3 0f9c2f6a)"}
    worker = known["worker (ECS task batch:3 0f9c2f6a)"]
    assert (worker.capabilities, worker.privileged) == (("SYS_ADMIN",), False)
    helper = known["helper"]
    assert helper.privileged
    assert set(helper.host_namespaces) == {"processes", "network"}
    assert helper.mounts == (containers.Mount("/", "/host", True),)
    assert helper.image == "registry.example/shop/web:1.4"
    assert helper.digest.startswith("sha256:3bcbb774")
    assert helper.layer.startswith("/var/lib/docker/overlay2/")
    assert [layer.rsplit("/", 1)[1] for layer in helper.image_layers] == ["diff", "diff"]


def test_podman_keeps_an_oci_specification() -> None:
    """As Podman 4 lays it out: containers.json of containers/storage, and config.json of the OCI runtime."""
    container, layer, store = "ab" * 32, "cd" * 32, "/var/lib/containers/storage"
    listed = (
        f'[{{"id": "{container}", "names": ["job"], "image": "{"ef" * 32}", "layer": "{layer}", '
        '"metadata": "{\\"image-name\\": \\"quay.example/job:1\\"}", "created": "2026-11-20T10:00:00.123456789Z"}]'
    )
    spec = (
        b'{"process": {"args": ["/bin/sh"], "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_PTRACE"]}}, "mounts": '
        b'[{"destination": "/s", "type": "bind", "source": "/run/podman/podman.sock", "options": ["rbind", "ro"]}], '
        b'"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}, {"type": "ipc"}, {"type": "uts"}]}}'
    )
    tree = (
        Builder()
        .add(f"{store}/overlay-containers/containers.json", listed.encode())
        .add(f"{store}/overlay-containers/{container}/userdata/config.json", spec)
        .tree()
    )
    (job,) = containers.of(tree).containers
    assert (job.name, job.image, job.layer) == ("job", "quay.example/job:1", f"{store}/overlay/{layer}")
    assert (job.privileged, job.capabilities, job.host_namespaces) == (False, ("SYS_PTRACE",), ())
    assert job.mounts == (containers.Mount("/run/podman/podman.sock", "/s", False),)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:4096],
        lambda data: b"\0" * 8192 + data[8192:],
        lambda data: data[:16384] + b"\xff" * (len(data) - 16384),
        lambda data: b"no database",
    ],
)
def test_a_damaged_database_is_a_problem_by_name(damage: object) -> None:
    content = damage(container_trees.database("meta.db"))  # type: ignore[operator]
    tree = Builder().add("/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", content).tree()
    found = containers.of(tree)
    assert found.containers == ()
    assert [path for path, _ in found.problems] == ["/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db"]


def test_docker_records_of_a_hostile_shape_are_problems_by_name() -> None:
    for content in (
        b"[" * 100_000,
        b"[]",
        b'{"Config": "x"}',
        b'{"MountPoints": [1]}',
        b'{"Created": 7, "Args": 5',
        b"\xff",
    ):
        found = containers.of(container_trees.docker(config_v2_json=content))
        assert len(found.containers) + len(found.problems) == 3


def test_a_go_time_is_read_with_its_nanoseconds() -> None:
    """time.Time.MarshalBinary of 2026-11-30 05:49:00.5 UTC."""
    seconds = int(datetime(2026, 11, 30, 5, 49, tzinfo=UTC).timestamp()) + 62_135_596_800
    data = b"\x01" + seconds.to_bytes(8, "big") + (500_000_000).to_bytes(4, "big") + b"\xff\xff"
    assert containerd.go_time(data) == datetime(2026, 11, 30, 5, 49, 0, 500_000, tzinfo=UTC)
    assert containerd.go_time(b"\x01" + b"\xff" * 14) is None


def test_tasks_of_the_ecs_agent_and_runs_of_cri() -> None:
    old = b'{"Data": {"TaskEngine": {"Tasks": [{"Arn": "arn:aws:ecs:eu-central-1:123456789012:task/a", "Family": "web", "Version": "7", "KnownStatus": "RUNNING", "Containers": [{"Image": "web:7"}]}]}}, "Version": 30}'
    status = b'{"Version": "v1", "Pid": 0, "StartedAt": 1795000000000000000, "FinishedAt": 0, "ExitCode": 0}'
    path = f"/var/lib/containerd/io.containerd.grpc.v1.cri/containers/{'a1' * 32}/status"
    tree = Builder().add("/var/lib/ecs/data/ecs_agent_data.json", old).add(path, status).tree()
    agent = tree.get("/var/lib/ecs/data/ecs_agent_data.json")
    assert agent is not None
    (task,) = orchestrators.tasks(agent)
    assert (task.name, task.status, task.images) == ("web:7", "RUNNING", ("web:7",))
    entry = tree.get(path)
    assert entry is not None
    run = orchestrators.run(entry)
    assert (run.container, run.ended, run.started) == ("a1" * 32, None, datetime.fromtimestamp(1795000000, UTC))
