"""Places from which a Linux host starts programs by itself, and how their commands are read: data of ``persistence_rules``.

Sources: systemd.unit(5), systemd.generator(7), udev(7), modprobe.d(5), pam.d(5), sshd(8), at(1), site(3 Python), dracut.conf(5),
logrotate(8), dhclient-script(8), cloud-init's and the SSM Agent's own folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from forensic_toolkit.results import Severity

HOMES = r"/(root|home/[^/]+|var/(www|lib/[^/]+)|opt/[^/]+)"
Extract = Callable[[str], list[str]]


def plain(text: str) -> list[str]:
    """Lines that are neither empty nor comments; one that goes on behind a backslash is one. None of a program."""
    if text.startswith("\x7fELF"):
        return []
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def after(*names: str) -> Extract:
    """The values of settings ``name = value`` (systemd, sshd, .desktop, php.ini), in any case of letters."""
    setting = re.compile(rf"^\s*(?:{'|'.join(names)})\s*(?:=|\s)\s*[-@+!:|\"']*(.+)$", re.IGNORECASE | re.MULTILINE)
    return lambda text: [match[1].strip() for match in setting.finditer(text) if not match[0].lstrip().startswith("#")]


def matching(pattern: str) -> Extract:
    """Whole lines that match, without comments."""
    wanted = re.compile(pattern)
    return lambda text: [line for line in plain(text) if wanted.search(line)]


def rotation_scripts(text: str) -> list[str]:
    """The scripts in a logrotate configuration."""
    blocks = re.findall(r"^\s*(?:pre|post|first|last)\w*(?:rotate|action)\s*$(.*?)^\s*endscript", text, re.M | re.S)
    return [line for block in blocks for line in plain(block)]


def job_script(text: str) -> list[str]:
    """The commands of an at job, without the environment and the change of folder that at writes before them."""
    body = re.split(r"^cd .*\|\| \{\n.*\n.*\n\}\n", text, maxsplit=1, flags=re.MULTILINE)[-1]
    return [line for line in plain(body) if not re.match(r"[A-Za-z_]\w*=.*; export |umask \d+$|marcinDELIMITER", line)]


@dataclass(frozen=True, slots=True)
class Place:
    """One kind of place; ``foreign`` is the severity of a file that was added there and says nothing suspicious (None: no finding)."""

    kind: str
    technique: str
    near: tuple[str, ...]  # one of these is in the path: a quick look before the pattern
    pattern: str
    extract: Extract = plain
    foreign: Severity | None = "low"
    always: Severity | None = None  # whatever it says, and whoever put it there


_EXEC = after("Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload|Condition)?", "Environment(?:File)?")
_CODE = r"\b(exec|eval|subprocess|os\.(system|popen)|socket|urllib|requests|base64|ctypes|__import__\(|compile\()"

PLACES: tuple[Place, ...] = (
    Place("Systemd timer", "T1053.006", ("/systemd/",), r"(/etc|/usr/lib|/lib|/usr/local/lib|/run)/systemd/(system|user)/.+\.timer|" + HOMES
          + r"/\.(config|local/share)/systemd/user/.+\.timer", after("On(?:Calendar|BootSec|UnitActiveSec|ActiveSec|StartupSec)", "Unit")),
    Place("Systemd unit", "T1543.002", ("/systemd/",), r"(/etc|/usr/lib|/lib|/usr/local/lib|/run)/systemd/(system|user)/[^/]+\.(service|socket|path|mount)|"
          + HOMES + r"/\.(config|local/share)/systemd/user/[^/]+\.(service|socket|path)", _EXEC),
    Place("Systemd drop-in", "T1543.002", ("/systemd/",), r"(/etc|/usr/lib|/lib|/usr/local/lib|/run)/systemd/(system|user)(\.control|\.attached)?/[^/]+\.d/.+\.conf|"
          + HOMES + r"/\.config/systemd/user/[^/]+\.d/.+\.conf", _EXEC),
    Place("Systemd generator", "T1543.002", ("-generators/",), r"(/etc|/usr/local/lib|/usr/lib|/lib|/run)/systemd/(system|user)-(environment-)?generators/.+",
          foreign="high"),
    Place("Systemd sleep or shutdown script", "T1543.002", ("/system-s",), r"(/etc|/usr/lib|/lib)/systemd/system-(sleep|shutdown)/.+", foreign="medium"),
    Place("D-Bus service", "T1543.002", ("/dbus-1/",), r"(/usr/share|/usr/local/share|/etc)/dbus-1/(system-)?services/.+\.service", after("Exec"), foreign="medium"),
    Place("at job", "T1053.002", ("/var/spool/",), r"/var/spool/(at|cron/atjobs|at/spool)/[=a-z][0-9a-f]{5,}", job_script, foreign="medium", always="medium"),
    Place("Log-in module configuration", "T1556.003", ("/pam.",), r"/etc/pam\.d/.+|/etc/pam\.conf|/usr/lib/pam\.d/.+",
          matching(r"pam_(exec|script|python|permit)\.so|\s/(?!usr/lib|lib|usr/lib64)\S+\.so|expose_authtok"), foreign=None),
    Place("udev rule", "T1546.017", ("/udev/",), r"(/etc|/usr/lib|/lib|/run|/usr/local/lib)/udev/rules\.d/.+\.rules", matching(r"RUN(\{program\})?\s*\+?=|PROGRAM\s*=|IMPORT\{program\}")),
    Place("Module configuration", "T1547.006", ("/modprobe.d/", "/modules-load.d/"), r"(/etc|/usr/lib|/lib|/run)/(modprobe|modules-load)\.d/.+", matching(r"^\s*(install|remove)\s+\S+\s+(?!/bin/(true|false)\b|/usr/bin/(true|false)\b)"), foreign=None),
    Place("Network hook", "T1037.004", ("/etc/network/", "/etc/dhc", "/etc/NetworkManager/", "/networkd-dispatcher/", "/ppp/", "/etc/sysconfig/"), r"/etc/(network/if-(pre-)?(up|down|post-down)\.d|dhcp/dhclient-(enter|exit)-hooks\.d|NetworkManager/dispatcher\.d"
          r"|networkd-dispatcher/[^/]+\.d|ppp/ip(v6)?-(up|down)\.d|dhclient\.d|sysconfig/network-scripts/if(up|down)-\S*)/.+|/etc/dhcp/dhclient-(enter|exit)-hooks", foreign="medium"),
    Place("Log rotation script", "T1053.003", ("/etc/logrotate",), r"/etc/logrotate\.(conf|d/.+)", rotation_scripts, foreign=None),
    Place("Package manager hook", "T1546.016", ("/etc/apt/", "/etc/dpkg/", "/etc/yum/", "/etc/dnf/"), r"/etc/(apt/apt\.conf\.d/.+|dpkg/dpkg\.cfg\.d/.+|yum/pluginconf\.d/.+|dnf/plugins/.+|dnf/libdnf5-plugins/.+)",
          matching(r"(Pre|Post)-(Invoke|Install)|::Run|^\s*(post|pre)-invoke|callback"), foreign=None),
    Place("SSH session script", "T1546.004", ("/sshrc", "/.ssh/"), r"/etc/ssh/sshrc|" + HOMES + r"/\.ssh/(rc|environment)", foreign="high", always="high"),
    Place("SSH client setting", "T1546.004", ("/.ssh/", "/etc/ssh/"), HOMES + r"/\.ssh/config|/etc/ssh/ssh_config(\.d/.+)?", after("ProxyCommand", "LocalCommand", "KnownHostsCommand"), foreign=None),
    Place("SSH server setting", "T1556", ("/etc/ssh/",), r"/etc/ssh/sshd_config(\.d/.+)?", after("ForceCommand", "AuthorizedKeysCommand", "AuthorizedPrincipalsCommand", "Subsystem"), foreign=None),
    Place("Git hook", "T1546", ("hooks/",), r"/.+/(\.git|\.?githooks|[^/]+\.git)(/modules/.+)?/hooks/(?!.*\.sample$)[a-z][a-z-]+|/usr/share/git-core/templates/hooks/(?!.*\.sample$).+", foreign=None),
    Place("Git setting", "T1546", ("gitconfig", "/git/config", ".git/config"), r"/etc/gitconfig|" + HOMES + r"/(\.gitconfig|\.config/git/config)|/.+/\.git/config", after("hooksPath", "fsmonitor", "sshCommand", "pager", "editor"), foreign=None),
    Place("Editor or terminal start file", "T1546.004", ("/.vim", "/nvim/", "/.emacs", "/.tmux", "/.screenrc", "/.inputrc", "/.nanorc", "/.gdbinit", "/.pythonrc", "/etc/vim/"), HOMES + r"/\.(vimrc|vim/(plugin|autoload)/.+|config/nvim/.+|emacs|emacs\.d/init\.el|tmux\.conf|screenrc|inputrc|nanorc|gdbinit|pythonrc\S*)|/etc/vim/vimrc(\.local)?",
          matching(r"system\(|!\S|\bexec|shell|run-shell|python|autocmd"), foreign=None),
    Place("Shell completion", "T1546.004", ("completion",), r"/etc/bash_completion\.d/.+|/usr/share/bash-completion/completions/.+|" + HOMES + r"/\.bash_completion(\.d/.+)?", foreign=None),
    Place("Python start-up hook", "T1546.018", (".pth", "customize.py"), r"/.*/(site|dist)-packages/[^/]+\.pth|/usr/lib/python3[^/]*/(sitecustomize|usercustomize)\.py|/.*/(site|dist)-packages/(sitecustomize|usercustomize)\.py",
          matching(_CODE), foreign=None),
    Place("Dynamic linker path", "T1574.006", ("/etc/ld.so.conf",), r"/etc/ld\.so\.conf(\.d/.+)?", foreign="low"),
    Place("Initial RAM disk hook", "T1542", ("/initramfs-tools/", "/dracut", "/mkinitcpio"), r"/etc/(initramfs-tools/(hooks|scripts/[^/]+)/.+|dracut\.conf\.d/.+|mkinitcpio\.d/.+)|/usr/lib/dracut/modules\.d/[^/]+/.+\.sh", foreign="medium"),
    Place("Core dump or binary format handler", "T1546", ("sysctl", "/binfmt.d/"), r"(/etc|/usr/lib|/run)/(sysctl\.d/.+|binfmt\.d/.+)|/etc/sysctl\.conf", matching(r"core_pattern\s*=\s*\||modprobe\s*=|^:[^:]+:[ME]:"), foreign=None),
    Place("Autostart of a desktop", "T1547.013", ("/autostart/",), r"/etc/xdg/autostart/.+\.desktop|" + HOMES + r"/\.config/autostart/.+\.desktop", after("Exec"), foreign="low"),
    Place("Policy of polkit", "T1548", ("/polkit-1/",), r"/etc/polkit-1/(rules\.d|localauthority/.+)/.+", matching(r"Result\.YES|ResultAny=yes|ResultActive=yes"), foreign="low"),
    Place("Message of the day script", "T1037.004", ("/update-motd.d/",), r"/etc/update-motd\.d/.+", foreign="low"),
    Place("Start-up script", "T1037.004", ("/etc/rc", "/etc/init", "/etc/X11/"), r"/etc/(rc\.local|(?!rc\.d/(?:rc[0-6S]\.d|init\.d)/README)rc\.d/.+|(?!init\.d/README$)init\.d/.+|rc[0-6S]\.d/[SK]\d.*|init/.+\.conf|inittab|X11/Xsession\.d/.+|X11/xinit/.+)", foreign="low"),
    Place("Shell start-up file", "T1546.004", ("rc", "profile", "environment", "/etc/zsh", "/etc/csh", "/etc/skel/", "bash_", "login", "logout", "/.xsession", "/.config/fish/", "/.zshenv", "pam_env"), r"/etc/(profile|bash\.bashrc|bashrc|zsh/.+|zshrc|zprofile|environment|csh\.\w+|skel/\..+|profile\.d/.+|environment\.d/.+|security/pam_env\.conf)|"
          + HOMES + r"/\.(bashrc|bash_profile|bash_aliases|profile|bash_login|bash_logout|zshrc|zshenv|zprofile|zlogin|kshrc|cshrc|tcshrc|shrc|xinitrc|xsession\w*|xprofile|pam_environment|config/fish/.+)", foreign=None),
    Place("Mail that is piped to a program", "T1546", ("/.forward", "/.procmailrc", "aliases", "/etc/procmailrc"), HOMES + r"/\.(forward|procmailrc)|/etc/(mail/)?aliases|/etc/procmailrc", matching(r"[|]\s*\"?/?"), foreign=None),
    Place("Cloud user data", "T1037", ("/var/lib/cloud/",), r"/var/lib/cloud/instances/[^/]+/(user-data\.txt(\.i)?|scripts/.+|boothooks/.+|vendor-data\.txt(\.i)?)", foreign=None),
    Place("Script at every boot of cloud-init", "T1037", ("/cloud/",), r"/var/lib/cloud/scripts/(per-boot|per-instance|per-once|vendor)/.+|/etc/cloud/cloud\.cfg\.d/.+", foreign=None),
    Place("Command sent through Systems Manager", "T1651", ("/amazon/ssm/",), r"/var/lib/amazon/ssm/[^/]+/document/orchestration/.+/_script\.(sh|ps1)|/var/lib/amazon/ssm/.+/awsrunShellScript/.+/_script\.sh", foreign="info"),
    Place("Static pod of a node", "T1543.005", ("/manifests/", "/pod-manifests/"), r"/etc/(kubernetes/manifests|eks/manifests)/.+|/var/lib/rancher/k3s/(agent/pod-manifests|server/manifests)/.+", foreign="medium"),
    Place("Setting that runs PHP before every page", "T1505.003", ("/php", "/.user.ini", "/.htaccess"), r"/etc/php[^/]*(/.+)?/.*\.ini|/(var/www|srv|usr/share/nginx)/.*(\.user\.ini|\.htaccess)", after("auto_(?:pre|ap)pend_file"), foreign=None),
)  # fmt: skip
