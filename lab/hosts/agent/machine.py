"""From an instance's record to what a script on it sees: its files, devices, kernel facts and tools."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from lab.hosts.agent.protocol import Attachments, VolumePath
from lab.hosts.agent.tools import toolkit_view
from lab.hosts.sandbox.spec import Bind, Spec

# In AWS a host's programs run on a machine of their own and take no time from the orchestrator's; a lab that carries both
# sets their niceness by this variable (0 to 19).
NICENESS = "LAB_HOST_NICENESS"
_EBS_LINK = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}"
_OS_IDS = {
    "amazon": "amzn",
    "debian": "debian",
    "ubuntu": "ubuntu",
    "red": "rhel",
    "suse": "sles",
    "centos": "centos",
}


class MachineError(Exception):
    """This instance cannot be shown; the message says which fact about it is missing or wrong."""


@dataclasses.dataclass(frozen=True)
class Machines:
    """Makes the views of all instances. `state` is the lab's folder, `tools_python` the forensic tools'
    Python.
    """

    state: Path
    attachments: Attachments
    volume_path: VolumePath
    tools_python: Path | None = None

    def facts(self, instance_id: str) -> dict[str, Any]:
        """The instance's record. Raises MachineError."""
        path = self.state / "instances" / f"{instance_id}.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise MachineError(f"the lab has no record of {instance_id} ({path}); register the instance") from error
        except (OSError, ValueError) as error:
            raise MachineError(f"the lab's record of {instance_id} cannot be read from {path}: {error}") from error
        if not isinstance(facts, dict) or facts.get("kind") not in ("target", "forensic"):
            raise MachineError(f"{path}: an instance record needs kind target or forensic")
        return facts

    def spec(self, instance_id: str, *, script: str, port: int | None) -> Spec:
        """The view of this instance with a script in it; without working directory and environment.

        Raises MachineError.
        """
        facts = self.facts(instance_id)
        binds: list[Bind] = []
        links: list[tuple[str, str]] = []
        files: list[tuple[str, str, int]] = [("/etc/os-release", _os_release(facts), 0o644)]
        # what a test plants on a host beside its disks' images: path and text
        files += [(str(path), str(text), 0o644) for path, text in (facts.get("planted") or {}).items()]
        proc_files: list[tuple[str, str]] = []
        if facts.get("memory"):
            memory = Path(facts["memory"]).resolve()
            if not memory.is_file():
                raise MachineError(f"the memory image of {instance_id} is not there: {memory}")
            binds.append(Bind(str(memory), "/dev/crash"))
        if facts.get("kernel"):
            self._kernel(facts, binds=binds, proc_files=proc_files)
        self._volumes(facts, binds=binds, links=links)
        if facts.get("capture_rate_mib_s"):
            rate = max(1, round(float(facts["capture_rate_mib_s"])))
            files.append(("/run/lab/capture_rate_mib", f"{rate}\n", 0o644))
        if facts["kind"] == "forensic":
            shown, wrapper = toolkit_view(self.tools_python)
            binds += shown
            files.append(wrapper)
        return Spec(
            script=script,
            hostname=facts.get("hostname") or instance_id,
            binds=tuple(binds),
            files=tuple(files),
            links=tuple(links),
            proc_files=tuple(proc_files),
            disk_tmp=facts["kind"] == "forensic",
            port=port,
            niceness=int(os.environ.get(NICENESS, "0")),
        )

    def _kernel(self, facts: dict[str, Any], *, binds: list[Bind], proc_files: list[tuple[str, str]]) -> None:
        kernel = facts["kernel"]
        for name in ("kallsyms", "version", "iomem"):
            if kernel.get(name):
                proc_files.append((name, str(Path(kernel[name]).resolve())))
        if kernel.get("btf"):
            binds.append(Bind(str(Path(kernel["btf"]).resolve()), "/sys/kernel/btf/vmlinux"))
        if not kernel.get("version"):
            return
        try:
            release = Path(kernel["version"]).read_text(encoding="utf-8").split()[2]
        except (OSError, IndexError) as error:
            raise MachineError(
                f"{facts['instance_id']}: {kernel['version']} is not the text of a /proc/version: {error}"
            ) from error
        own = self.state / "cache" / "views" / facts["instance_id"]
        own.mkdir(parents=True, exist_ok=True)
        _write(own / "osrelease", text=f"{release}\n", mode=0o644)
        proc_files.append(("sys/kernel/osrelease", str(own / "osrelease")))
        for program in ("uname", "dmesg"):
            if place := _place_of(program):
                shim = (Path(__file__).parent / f"{program}.sh").read_text(encoding="utf-8")
                _write(own / program, text=shim.replace("@MACHINE@", platform.machine()), mode=0o755)
                binds.append(Bind(str(own / program), place, optional=True))

    def _volumes(self, facts: dict[str, Any], *, binds: list[Bind], links: list[tuple[str, str]]) -> None:
        """As Nitro instances have them: an NVMe device, and links to it by EC2's name and by volume id."""
        where = (facts["account"], facts["region"], facts["instance_id"])
        for number, (volume_id, device) in enumerate(self.attachments(*where)):
            image = self.volume_path(volume_id)
            if image is None:
                continue
            node = f"/dev/nvme{number}n1"
            binds.append(Bind(str(image), node))
            links.append((_EBS_LINK.format(volume_id.replace("-", "")), f"../../{Path(node).name}"))
            if device.startswith("/dev/") and device != node:
                links.append((device, Path(node).name))


def _os_release(facts: dict[str, Any]) -> str:
    name = str(facts.get("platform_name") or "Linux").replace('"', "")
    version = str(facts.get("platform_version") or "").replace('"', "")
    words = name.lower().split()
    identity = _OS_IDS.get(words[0], words[0]) if words else "linux"
    fields = {"NAME": name, "VERSION": version, "ID": identity, "VERSION_ID": version}
    fields["PRETTY_NAME"] = f"{name} {version}".strip()
    return "".join(f'{key}="{value}"\n' for key, value in fields.items())


def _place_of(program: str) -> str | None:
    """Where the host keeps a program, when that file is the program and nothing else (not a multi-call program)."""
    found = shutil.which(program, path="/usr/bin:/bin")
    if found is None or Path(found).is_symlink():
        return None
    return str(Path(found).resolve())


def _write(path: Path, *, text: str, mode: int) -> None:
    """Write a small file so that a sandbox that starts meanwhile sees the old or the new one, never half of
    one.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{id(text)}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.replace(path)
