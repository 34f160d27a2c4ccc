"""Runs inside a sandbox and says, as one JSON object, what it can see and do. Standard library only.

The single argument is a JSON object: `canary` (a secret of the worker, reversed), `hidden` (host paths that must not be
there), `shown` (paths bound on purpose), `tcp` (a port of the host), `abstract` (name of a host socket), `file_bytes`,
`processes`.
"""

import ctypes
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def readable(path: str) -> bool:
    """Whether anything can be read at the path."""
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def beyond(folder: str, shown: list[str]) -> list[str]:
    """What is below a folder that nobody bound on purpose; at most the first find of each branch."""
    found: list[str] = []
    if not os.path.isdir(folder):
        return found
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if path in shown:
            continue
        if any(place.startswith(path + "/") for place in shown):
            found += beyond(path, shown)
        else:
            found.append(path)
    return found


def processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def writable(folder: str) -> bool:
    path = os.path.join(folder, ".codetask-probe")
    try:
        with open(path, "w"):
            pass
        os.unlink(path)
    except OSError:
        return False
    return True


def connects(family: int, kind: int, address: object) -> bool:
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        try:
            sock.connect(address)
            if kind == socket.SOCK_DGRAM:
                sock.send(b"x")
        except OSError:
            return False
        return True


def status_field(name: str) -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return "absent"


def seen_in_proc(canary: str) -> bool:
    needle = canary.encode()
    for pid in processes():
        for name in ("environ", "cmdline"):
            try:
                data = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
            if needle in data:
                return True
    return False


def unshares(flag: int) -> bool:
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        os._exit(0 if libc.unshare(flag) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def mounts() -> bool:
    """Whether a file system can be mounted: tried where, without a fence and as root, nobody else would see it."""
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
            os._exit(1)
        os._exit(0 if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def file_limit_holds(most: int) -> bool:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open("/tmp/large", "wb") as file:
            file.truncate(most + 1)
    except OSError as error:
        return error.errno == errno.EFBIG
    finally:
        os.unlink("/tmp/large")
    return False


def process_limit_holds(most: int) -> bool:
    """Forks children that wait until the limit is met, at most 16 over it."""
    children: list[int] = []
    read_end, write_end = os.pipe()
    held = False
    for _ in range(most + 16):
        try:
            pid = os.fork()
        except OSError:
            held = True
            break
        if pid == 0:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(0)
        children.append(pid)
    os.close(write_end)
    for pid in children:
        os.waitpid(pid, 0)
    return held


def size_of(folder: str) -> int:
    info = os.statvfs(folder)
    return info.f_blocks * info.f_frsize


def open_files() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}"))


def foreign_users() -> bool:
    """Whether `/etc/passwd` names more than the two accounts we put there."""
    return len(Path("/etc/passwd").read_text().splitlines()) != 2


def main(told: dict[str, object]) -> dict[str, object]:
    """Every probe's answer; a probe that fails in an unforeseen way answers with the error's name."""
    hidden = [str(path) for path in told["hidden"]]
    shown = [str(path) for path in told["shown"]]
    probes: dict[str, Callable[[], object]] = {
        "only own processes": lambda: len(processes()) <= 3,
        "open files": open_files,
        "/etc/shadow readable": lambda: readable("/etc/shadow"),
        "host accounts in /etc/passwd": foreign_users,
        "host folders seen": lambda: [path for path in hidden if readable(path)],
        "host homes seen": lambda: [*beyond("/home", [*shown, "/home/agent"]), *beyond("/root", shown)],
        "host /tmp seen": lambda: beyond("/tmp", shown),
        "/run seen": lambda: beyond("/run", shown),
        "/sys seen": lambda: beyond("/sys", shown),
        "/var seen": lambda: beyond("/var", shown),
        "/opt, /srv, /mnt seen": lambda: [path for top in ("/opt", "/srv", "/mnt") for path in beyond(top, shown)],
        "/ writable": lambda: writable("/"),
        "/usr writable": lambda: writable("/usr"),
        "/etc writable": lambda: writable("/etc"),
        "/dev writable": lambda: writable("/dev"),
        "/proc/sys writable": lambda: os.access("/proc/sys/kernel/core_pattern", os.W_OK),
        "work folder writable": lambda: writable("/ws"),
        "network interfaces": lambda: [name for _, name in socket.if_nameindex()],
        "host loopback reachable": lambda: connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", told["tcp"])),
        "metadata address reachable": lambda: connects(socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
        "internet reachable": lambda: connects(socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 443)),
        "internet over IPv6 reachable": lambda: connects(
            socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443)
        ),
        "UDP reachable": lambda: connects(socket.AF_INET, socket.SOCK_DGRAM, ("1.1.1.1", 53)),
        "host abstract socket reachable": lambda: connects(
            socket.AF_UNIX, socket.SOCK_STREAM, "\0" + str(told["abstract"])
        ),
        "nested user namespace": lambda: unshares(CLONE_NEWUSER),
        "nested mount namespace": lambda: unshares(CLONE_NEWNS),
        "mount": mounts,
        "CapEff": lambda: int(status_field("CapEff"), 16),
        "CapBnd": lambda: int(status_field("CapBnd"), 16),
        "NoNewPrivs": lambda: status_field("NoNewPrivs"),
        "worker secret in /proc": lambda: seen_in_proc(str(told["canary"])[::-1]),
        "host name": socket.gethostname,
        "controlling terminal": lambda: readable("/dev/tty"),
        "file size limit holds": lambda: file_limit_holds(int(str(told["file_bytes"]))),
        "process limit holds": lambda: process_limit_holds(int(str(told["processes"]))),
        "/tmp bytes": lambda: size_of("/tmp"),
        "core limit": lambda: status_core(),
    }
    answers: dict[str, object] = {}
    for name, probe in probes.items():
        try:
            answers[name] = probe()
        except OSError as error:
            answers[name] = f"error {error.errno}"
    return answers


def status_core() -> str:
    for line in Path("/proc/self/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.split()[4]
    return "absent"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
