"""Three servers on which nothing happened: web and database, Docker host, CI runner; of Debian's and of Amazon Linux's kind.

Programs, paths and log lines are what the packages' own files and programs have (nginx, PostgreSQL, Docker, GitLab Runner, cloud-init,
SSM Agent, unattended-upgrades); names and addresses are invented. ``examine`` runs every rule of the quick profile on a model.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from forensic_toolkit.commands import disk
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import yara_rules
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import INSTALLED, Builder

LATER = datetime(2026, 2, 1, 9, 30, 0, 654_321, tzinfo=UTC)
ELF, SCRIPT = b"\x7fELF\x02\x01\x01" + bytes(64), b"#!/bin/sh\nset -e\nexec true\n"
DAYS = 20
SETUID = ("su", "mount", "umount", "passwd", "chsh", "chfn", "gpasswd", "newgrp")
HOOKS = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-update",
    "pre-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
]


class Server(Builder):
    """A builder that knows packages, accounts, checkouts, virtual environments and logs."""

    def __init__(self, *, debian: bool = True) -> None:
        super().__init__()
        self.debian, self._packages = debian, {}  # type: ignore[var-annotated]
        accounts = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nadmin:x:1000:1000::/home/admin:/bin/bash\n"
        self.add("/etc/passwd", accounts.encode(), born=INSTALLED)
        self.add("/etc/shadow", b"root:*:1::::::\nadmin:!:1::::::\n", born=INSTALLED)
        self.package(
            "coreutils", {f"/usr/bin/tool{number}": ELF for number in range(30)} | {"/usr/bin/bash": b"\x7fELF shell"}
        )
        self.package("login", {f"/usr/bin/{name}": ELF for name in SETUID}, mode=0o4755)

    def package(self, name: str, files: dict[str, bytes], *, mode: int = 0o755, born: datetime = INSTALLED) -> None:
        """Install files with the package manager's lists and digests."""
        for path, content in files.items():
            self.add(path, content, mode=mode, born=born, modified=born)
        info = "/var/lib/dpkg/info/" + name
        self.add(f"{info}.list", "\n".join(files).encode(), born=born)
        sums = [
            f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {path[1:]}" for path, content in files.items()
        ]
        self.add(f"{info}.md5sums", "\n".join(sums).encode(), born=born)

    def checkout(self, folder: str) -> None:
        """A git checkout with git's own sample hooks."""
        self.add(f"{folder}/.git/HEAD", b"ref: refs/heads/main\n", born=LATER)
        for hook in HOOKS:
            self.add(f"{folder}/.git/hooks/{hook}.sample", b"#!/bin/sh\nexit 0\n", mode=0o755, born=LATER)

    def environment(self, folder: str) -> None:
        """A Python virtual environment as venv and uv make it."""
        self.add(f"{folder}/pyvenv.cfg", b"home = /usr/bin\n", born=LATER)
        for name in ("pip", "gunicorn", "celery", "alembic", "ruff", "uv"):
            self.add(
                f"{folder}/bin/{name}",
                b"#!/srv/x/.venv/bin/python\n" if name != "ruff" else ELF,
                mode=0o755,
                born=LATER,
            )
        self.add(
            f"{folder}/lib/python3.11/site-packages/distutils-precedence.pth",
            b"import os; var = 'SETUPTOOLS'\n",
            born=LATER,
        )

    def log(self, path: str, lines: list[tuple[datetime, str]], *, host: str = "web1") -> None:
        """A log with a line for each (time, "program[pid]: message")."""
        rows = [f"{moment.isoformat(timespec='microseconds')} {host} {text}" for moment, text in sorted(lines)]
        last = max(moment for moment, _ in lines)
        self.add(path, ("\n".join(rows) + "\n").encode(), born=last, modified=last)


def days(count: int = DAYS) -> list[datetime]:
    """A moment on each of the last days."""
    return [datetime(2026, 11, 1, 6, 0, tzinfo=UTC) + timedelta(days=number) for number in range(count)]


def usual_logs(server: Server, *, auth: str, system: str) -> None:
    """Log-ins of people, the internet's noise, timers, updates, reboots, containers."""
    said, noted = [], []
    for number, day in enumerate(days()):
        hour = day + timedelta(hours=3)
        said += [
            (
                hour,
                f"sshd[{900 + number}]: Accepted publickey for admin from 192.0.2.10 port {50000 + number} ssh2: ED25519 SHA256:abc",
            ),
            (
                hour + timedelta(seconds=9),
                "sudo[77]:    admin : TTY=pts/0 ; PWD=/home/admin ; USER=root ; COMMAND=/usr/bin/bash",
            ),
            (
                hour + timedelta(seconds=30),
                "sudo[78]:    admin : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx",
            ),
        ]
        for guess in range(14):
            line = f"sshd[{guess}]: Failed password for invalid user test{guess} from 198.51.100.{100 + number} port {40000 + guess} ssh2"
            said.append((day + timedelta(seconds=20 * guess), line))
        noted += [
            (day, f"kernel: [{number}.1] ena: loading out-of-tree module taints kernel."),
            (day + timedelta(seconds=5), f"kernel: [{number}.7] veth{number:07x}: entered promiscuous mode"),
            (day + timedelta(seconds=60), "systemd[1]: Stopped fail2ban.service - Fail2Ban Service."),
            (day + timedelta(seconds=62), "systemd[1]: Started fail2ban.service - Fail2Ban Service."),
            (day + timedelta(seconds=90), "CRON[55]: (root) CMD (/usr/local/bin/backup.sh >/var/log/backup.log 2>&1)"),
            (day + timedelta(hours=1), "systemd-logind[400]: System is rebooting."),
        ]
    server.log(auth, said)
    server.log(system, noted)


HISTORY = """\
curl -fsSL https://get.docker.com | sh
curl -fsSL https://deb.nodesource.com/setup_20.x | sudo -E bash -
LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 redis-server --daemonize yes
curl -s http://127.0.0.1:8000/health
curl -s http://10.0.12.7:9090/-/healthy
scp dump.sql.gz deploy@10.0.12.8:/var/backups/
> /var/log/shop/debug.log
journalctl --vacuum-time=7d
chmod 2775 /srv/shop/media
ssh-copy-id deploy@10.0.12.8
unset HISTFILE
wget https://nodejs.org/dist/v20.1.0/node-v20.1.0-linux-x64.tar.xz -O /tmp/node.tar.xz
mkdir -p /tmp/build && cd /tmp/build && ./configure && make
rm -rf /tmp/build
sudo usermod -aG docker admin
docker compose up -d
sudo systemctl restart nginx
sudo apt-get update && sudo apt-get install -y htop
tail -f /var/log/nginx/error.log
git pull --rebase
crontab -e
vim ~/.ssh/config
whoami
ps aux | grep gunicorn
ss -tlnp
cat /etc/os-release
"""


def web_and_database() -> Server:
    """Debian: nginx, PostgreSQL, an application in a virtual environment, backups by cron."""
    server = Server()
    server.package(
        "nginx",
        {"/usr/sbin/nginx": ELF, "/usr/lib/systemd/system/nginx.service": b"[Service]\nExecStart=/usr/sbin/nginx\n"},
    )
    server.package("libjemalloc2", {"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2": ELF}, mode=0o644)
    server.add("/etc/init.d/nginx", b"#!/bin/sh\n# edited\n", mode=0o755, born=INSTALLED, modified=LATER)
    server.add("/var/lib/dpkg/info/nginx-common.list", b"/etc/init.d/nginx\n").add(
        "/var/lib/dpkg/info/nginx-common.conffiles", b"/etc/init.d/nginx\n"
    )
    server.environment("/srv/shop/.venv")
    server.checkout("/srv/shop")
    server.checkout("/opt/tools")
    unit = b"[Service]\nUser=www-data\nExecStart=/srv/shop/.venv/bin/gunicorn -b 127.0.0.1:8000 shop.wsgi\n"
    server.add("/etc/systemd/system/shop.service", unit, born=LATER)
    server.add(
        "/etc/cron.d/backup", b"17 3 * * * root /usr/local/bin/backup.sh >/var/log/backup.log 2>&1\n", born=LATER
    )
    server.add(
        "/usr/local/bin/backup.sh",
        b"#!/bin/sh\npg_dump shop | gzip > /var/backups/shop.sql.gz\nfind /var/backups -mtime +14 -delete\n",
        mode=0o755,
        born=LATER,
    )
    server.add("/home/admin/.bash_history", HISTORY.encode(), born=LATER, modified=LATER + timedelta(days=90))
    key = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@laptop\n"
    server.add("/home/admin/.ssh/authorized_keys", key, born=INSTALLED)
    server.add(
        "/etc/sudoers.d/90-cloud-init-users", b"admin ALL=(ALL) NOPASSWD:ALL\n", born=INSTALLED + timedelta(hours=2)
    )
    server.add("/tmp/build/configure", b"#!/bin/sh\n", mode=0o755)
    for number in range(12):
        server.add(f"/tmp/tmp{number:06d}.txt", deleted=True)
    rows = [
        f'203.0.113.{number} - - [25/Nov/2026:01:{number:02d}:05 +0000] "GET {path} HTTP/1.1" 404 153 "-" "zgrab/0.x"'
        for number in range(30)
        for path in ("/.env", "/.git/config", "/wp-login.php")
    ]
    rows += [
        f'192.0.2.7 - - [25/Nov/2026:02:{number:02d}:05 +0000] "GET /shop/{number} HTTP/1.1" 200 5120 "-" "Mozilla/5.0"'
        for number in range(50)
    ]
    server.add(
        "/var/log/nginx/access.log",
        ("\n".join(rows) + "\n").encode(),
        born=datetime(2026, 11, 25, 2, 49, 5, tzinfo=UTC),
    )
    usual_logs(server, auth="/var/log/auth.log", system="/var/log/syslog")
    return server


def docker_host() -> Server:
    """Debian: Docker with three images, one of them running; monitoring; a compose project."""
    server = Server()
    server.package("docker-ce", {"/usr/bin/dockerd": ELF, "/usr/bin/docker": ELF})
    for number in range(3):
        layer = f"{number}a" * 32
        for name in SETUID:
            server.add(f"/var/lib/docker/overlay2/{layer}/diff/usr/bin/{name}", ELF, mode=0o4755)
        server.add(f"/var/lib/docker/overlay2/{layer}/diff/root/.config/tool/run", SCRIPT, mode=0o755)
    running, container = "9b" * 32, "c4" * 32
    server.add(f"/var/lib/docker/image/overlay2/layerdb/mounts/{container}/mount-id", running.encode())
    server.add(f"/var/lib/docker/overlay2/{running}/diff/var/lib/app/state.json", b"{}")
    for number in range(5):  # installed by the container when it started
        server.add(f"/var/lib/docker/overlay2/{running}/diff/usr/local/bin/tool{number}", SCRIPT, mode=0o755)
    _docker_record(server, container, "app", "shop/app:3", "/docker-entrypoint.sh nginx -g 'daemon off;'")
    _docker_record(
        server, "c5" * 32, "monitor", "prom/node-exporter:v1.7.0", "/bin/node_exporter --path.rootfs=/host", host="/"
    )
    socket = "/var/run/docker.sock"
    _docker_record(server, "c6" * 32, "ui", "portainer/portainer-ce:2.21", "/portainer", host=socket)
    server.add("/opt/monitoring/docker-compose.yml", b"services:\n  node-exporter:\n    pid: host\n", born=LATER)
    server.add(
        "/etc/systemd/system/node_exporter.service", b"[Service]\nExecStart=/usr/local/bin/node_exporter\n", born=LATER
    )
    server.add("/usr/local/bin/node_exporter", ELF, mode=0o755, born=LATER)
    server.add("/usr/local/bin/docker-compose", ELF, mode=0o755, born=LATER)
    server.add("/etc/docker/daemon.json", b"{}", born=LATER)
    server.add(
        "/root/.bash_history",
        b"docker run -d --name prom -v /srv/prom:/data prom/prometheus\ndocker system prune -af\ndocker logs -f app\n",
        born=LATER,
    )
    usual_logs(server, auth="/var/log/auth.log", system="/var/log/syslog")
    return server


def _docker_record(server: Server, container: str, name: str, image: str, command: str, *, host: str = "") -> None:
    """What Docker keeps of one container, with a line of its log."""
    folder, words = f"/var/lib/docker/containers/{container}", command.split()
    mounts = {"m": {"Type": "bind", "Source": host, "Destination": "/host", "RW": host != "/"}} if host else {}
    config = {
        "ID": container,
        "Name": f"/{name}",
        "Config": {"Image": image},
        "Path": words[0],
        "Args": words[1:],
        "MountPoints": mounts,
    }
    server.add(f"{folder}/config.v2.json", json.dumps(config).encode(), born=LATER)
    limits = {"Privileged": False, "PidMode": "host" if host == "/" else "", "NetworkMode": "bridge"}
    server.add(f"{folder}/hostconfig.json", json.dumps(limits).encode(), born=LATER)
    line = {
        "log": '10.0.0.7 - - [25/Nov/2026:02:49:05 +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n',
        "stream": "stdout",
    }
    server.add(f"{folder}/{container}-json.log", json.dumps(line).encode() + b"\n", born=LATER)


def ci_runner() -> Server:
    """Amazon Linux's kind: a runner of jobs with caches, tool chains and checkouts; SSM and cloud-init."""
    server = Server(debian=False)
    server.add(
        "/etc/passwd",
        b"root:x:0:0:root:/root:/bin/bash\nec2-user:x:1000:1000::/home/ec2-user:/bin/bash\ngitlab-runner:x:990:990::/home/gitlab-runner:/bin/bash\n",
        born=INSTALLED,
    )
    server.package("gitlab-runner", {"/usr/bin/gitlab-runner": ELF}, born=LATER)
    home = "/home/gitlab-runner"
    for number in range(4):
        server.checkout(f"{home}/builds/abc/{number}/team/project")
        server.add(f"{home}/builds/abc/{number}/team/project/package.json", b"{}")
        server.add(
            f"{home}/builds/abc/{number}/team/project/node_modules/.bin/tsc", b"#!/usr/bin/env node\n", mode=0o755
        )
        server.environment(f"/opt/actions-runner/_work/{number}/.venv")
    server.add(f"{home}/.cargo/env", b"export PATH\n").add(f"{home}/.cargo/bin/cargo", ELF, mode=0o755)
    server.add(f"{home}/.nvm/nvm.sh", b"# nvm\n").add(f"{home}/.nvm/versions/node/v20/bin/node", ELF, mode=0o755)
    server.add(
        f"{home}/.bashrc",
        b'. "$HOME/.cargo/env"\n[ -s "$HOME/.nvm/nvm.sh" ] && . "$HOME/.nvm/nvm.sh"\nexport PATH="$HOME/.local/bin:$PATH"\n',
    )
    server.add(f"{home}/.bash_history", HISTORY.replace("apt-get", "dnf").encode(), born=LATER)
    for number in range(6):
        script = f"{number:08d}-1111-2222-3333-444455556666/awsrunShellScript/0.awsrunShellScript/_script.sh"
        server.add(
            f"/var/lib/amazon/ssm/i-0123456789abcdef0/document/orchestration/{script}",
            b"#!/bin/bash\ndnf -y update --security\n",
            mode=0o700,
        )
    server.add(
        "/var/lib/cloud/instances/i-0123456789abcdef0/user-data.txt",
        b"#!/bin/bash\ndnf install -y git docker\nsystemctl enable --now docker\n",
        mode=0o600,
        born=INSTALLED + timedelta(hours=2),
    )
    server.add("/var/log/secure-20261115.gz", gzip.compress(b"", mtime=0), born=LATER)
    execve = "\n".join(
        f'type=SYSCALL msg=audit(17943{number:05d}.100:{number}): arch=c000003e syscall=59 success=yes auid=1000 uid=0 exe="/usr/bin/dnf" comm="dnf"\n'
        f'type=EXECVE msg=audit(17943{number:05d}.100:{number}): argc=3 a0="dnf" a1="-y" a2="update"'
        for number in range(50)
    )
    server.add("/var/log/audit/audit.log", execve.encode(), mode=0o600, born=LATER)
    usual_logs(server, auth="/var/log/secure", system="/var/log/messages")
    return server


MODELS: dict[str, Callable[[], Server]] = {"web": web_and_database, "docker": docker_host, "ci": ci_runner}


def examine(server: Server) -> dict[str, object]:
    """results.json of a model, by every rule of the quick profile."""
    results, tree, coverage = (
        Results("fc-20260101-0123456789", "disk-1", "disk", started=now()),
        server.tree(),
        Coverage(),
    )
    results.counts["system_volume"] = 1
    results.apply("package lists", rule=partial(disk._packages, tree, results=results))
    for rule in disk.TREE_RULES:
        results.apply(rule.__name__, rule=partial(rule, tree))
    results.apply("YARA", rule=partial(yara_rules.findings, tree, results=results))
    disk._read_logs(tree, coverage=coverage, results=results)
    coverage.report(results)
    return results.as_dict(ended=now())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "x"
        out.write_text(json.dumps({name: examine(make()) for name, make in MODELS.items()}), "utf-8")
        sys.stdout.write(out.read_text("utf-8"))
