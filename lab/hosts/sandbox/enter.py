"""The helper that becomes a sandbox: `python -m lab.hosts.sandbox.enter STATUS_FD LIFELINE_FD GATE_FD` with a
spec on stdin.

It leaves its namespaces, forks the first process of the new ones, and waits. That process builds the view,
runs the script and reaps orphans; when it ends, the kernel ends everything inside. It ends when the script
does, when the lifeline (a pipe whose other end only the lab holds) closes, or when its parent dies.

Status lines are JSON objects: `{"event": "ready", "notes": […]}`, or `unavailable` (this machine refuses the
namespaces) or `failed` (this spec cannot be shown), both with a `message`.
"""

# This runs before every command, and importing pathlib would be a good part of its start-up time:
# ruff: noqa: PTH102, PTH106, PTH123
from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
import sys

from lab.hosts.sandbox import kernel, reduced, rootfs

TYPE_CHECKING = False  # as typing's own, without the cost of importing it
if TYPE_CHECKING:
    from typing import Any, NoReturn

SETUP_FAILED = 125
_LIFELINE_SECONDS = 0.2
_NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC


class Channel:
    """Where the helper reports to the lab."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, event: str, *, message: str = "", notes: list[str] | None = None) -> None:
        """Write one status line; a lab that is gone is not an error, the lifeline deals with it."""
        line = json.dumps({"event": event, "message": message, "notes": notes or []}) + "\n"
        try:
            os.write(self.descriptor, line.encode())
        except BrokenPipeError:
            return

    def close(self) -> None:
        """Signal the lab that nothing more follows."""
        os.close(self.descriptor)


def main(arguments: list[str]) -> int:
    """Run the spec on stdin; returns the script's exit status, or 125 with a status line."""
    status, lifeline, gate = (int(argument) for argument in arguments)
    channel = Channel(status)
    message = json.loads(sys.stdin.buffer.read())
    os.umask(0o022)
    notes: list[str] = []
    if not kernel.yield_processor(message["niceness"]):
        notes.append(
            "processor: the script competes with the host's programs, the kernel did not take its session's niceness"
        )
    if message["reduced"]:
        return reduced.run(message, ready=lambda: channel.send("ready", notes=notes), lifeline=lifeline, spawn=spawn)
    try:
        _leave_namespaces(notes)
    except OSError as error:
        channel.send("unavailable", message=_why(error))
        return SETUP_FAILED
    kernel.die_with_parent(signal.SIGKILL)
    first = os.fork()
    if first == 0:
        _first_process(message, channel=channel, lifeline=lifeline, gate=gate, notes=notes)
    for descriptor in (status, gate, lifeline):
        if descriptor >= 0:
            os.close(descriptor)
    return _exit_code(os.waitpid(first, 0)[1])


def _leave_namespaces(notes: list[str]) -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER, name="user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(text)
    kernel.unshare(_NAMESPACES, name="mount, PID, UTS and IPC namespaces")
    try:
        kernel.unshare(kernel.CLONE_NEWNET, name="network namespace")
    except OSError as error:
        notes.append(f"network: the script shares the host's, security groups have no effect on it: {error}")


_HINTS = {
    errno.EPERM: "unprivileged user namespaces are not allowed here (sysctl "
    "kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns, or the container's "
    "seccomp profile)",
    errno.EACCES: "a security module (AppArmor, SELinux) refuses it; see kernel.apparmor_restrict_unprivileged_userns",
    errno.ENOSPC: "the limit of namespaces is used up or zero (sysctl user.max_user_namespaces)",
    errno.EINVAL: "the kernel was built without it",
}


def _why(error: OSError) -> str:
    hint = _HINTS.get(error.errno or 0)
    return f"{error.strerror or error}{f'; {hint}' if hint else ''}"


def _first_process(
    message: dict[str, Any], *, channel: Channel, lifeline: int, gate: int, notes: list[str]
) -> NoReturn:
    """Be PID 1 inside. Never returns, and never raises: no caller could handle it."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        code = _supervise(message, channel=channel, lifeline=lifeline, gate=gate, notes=notes)
    except rootfs.SetupError as error:
        channel.send("failed", message=str(error))
        code = SETUP_FAILED
    except OSError as error:
        refused = error.errno in (errno.EPERM, errno.EACCES)
        channel.send("unavailable" if refused else "failed", message=_why(error) if refused else str(error))
        code = SETUP_FAILED
    os._exit(code)


def _supervise(message: dict[str, Any], *, channel: Channel, lifeline: int, gate: int, notes: list[str]) -> int:
    socket.sethostname(message["hostname"])
    isolated = not any(note.startswith("network:") for note in notes)
    if isolated:
        kernel.loopback_up()
    if gate >= 0:
        _hand_out_listener(gate, port=message["port"] if isolated else None)
    _change_root(rootfs.build(message, notes=notes))
    kernel.hide_from_debuggers()
    script = spawn(message, drop=True)
    channel.send("ready", notes=notes)
    channel.close()
    return _wait(script, lifeline=lifeline)


def _hand_out_listener(gate: int, *, port: int | None) -> None:
    """Give the lab a socket that listens in here: it accepts from outside, and nothing of it is visible
    inside.
    """
    with socket.socket(fileno=gate) as channel:
        if port is None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            socket.send_fds(channel, [b"L"], [listener.fileno()])


def _change_root(root: str) -> None:
    os.mkdir(f"{root}/.host")
    kernel.pivot_root(root, old_root=f"{root}/.host")
    os.chdir("/")
    kernel.unmount("/.host")
    os.rmdir("/.host")
    rootfs.seal()


def spawn(message: dict[str, Any], *, drop: bool) -> int:
    """Start the script in a child; returns its pid. The caller waits with SIGCHLD blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    child = os.fork()
    if child:
        return child
    try:
        # As the agent does: a process group, in the helper's session (and so in its scheduling group).
        os.setpgid(0, 0)
        # Python ignores these two; a shell pipeline needs them.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = message["address_space_bytes"]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.closerange(3, 65536)
        if drop:
            kernel.drop_capabilities()
        os.chdir(message["cwd"])
        # As the agent does: a script with a #! line runs with that interpreter, any other with sh.
        os.execve("/bin/sh", ["sh", "-c", message["script_path"]], message["environment"])
    except OSError as error:
        os.write(2, f"the command cannot be started in {message['cwd']}: {error}\n".encode())
    os._exit(126)


def _wait(script: int, *, lifeline: int) -> int:
    watch = select.poll()
    watch.register(lifeline, select.POLLHUP)
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, _LIFELINE_SECONDS)
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return SETUP_FAILED
            if ended == script:
                return _exit_code(status)
            if ended == 0:
                break
        if watch.poll(0):
            return 128 + signal.SIGKILL


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
