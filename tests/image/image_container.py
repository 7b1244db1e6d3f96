"""Runs one program in an image's root as a cluster would; a program of its own, run as root.

    image_container.py SPEC.json

Process 1 of a process namespace, a user without rights, no capability to gain any, the root file
system read-only, the results (and /tmp, when asked for) on memory file systems. The network is
the machine's. What the program wrote there and what it cost is left where SPEC says:

    root, args, env, cwd, uid    what to run
    binds                        [[folder, place, "ro" or "rw"]...]
    memory                       places of memory file systems, the user's to write
    pid                          file for the process id, as the machine sees it
    keep                         [place, folder]: copy what lies there at the end
    cost                         file for the answer, JSON
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import stat
import sys
from typing import Any

NEW_NAMESPACES = 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000  # mount, process, IPC, UTS
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    words = [one.encode() if isinstance(one, str) else one for one in arguments]
    if getattr(LIBC, name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def furnish(spec: dict[str, Any]) -> None:
    """Every mount but /proc, which belongs to the new process namespace."""
    root = spec["root"]
    mount("none", "/", None, REC | PRIVATE)
    mount(root, root, None, BIND | REC)
    for place in spec["memory"]:
        owner = f"mode=2775,uid=0,gid={spec['uid']},size=16m"
        mount("tmpfs", root + place, "tmpfs", NOSUID | NODEV | NOEXEC, owner)
    for folder, place, mode in spec["binds"]:
        mount(folder, root + place, None, BIND)
        if mode == "ro":
            mount("none", root + place, None, REMOUNT | BIND | RDONLY)
    mount("tmpfs", f"{root}/dev", "tmpfs", NOSUID, "mode=755,size=64k")
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        os.mknod(f"{root}/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
        os.chmod(f"{root}/dev/{name}", 0o666)
    mount("none", root, None, REMOUNT | BIND | RDONLY)


def become(spec: dict[str, Any]) -> None:
    """The program, in this process."""
    root, uid = spec["root"], spec["uid"]
    mount("proc", f"{root}/proc", "proc", NOSUID | NODEV | NOEXEC)
    os.chroot(root)
    os.chdir(spec["cwd"])
    for number in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python had ignored it
    env = spec["env"]
    for folder in env["PATH"].split(":"):
        if os.access(program := f"{folder}/{spec['args'][0]}", os.X_OK):
            os.execve(program, spec["args"], env)
    os.execve(spec["args"][0], spec["args"], env)


def main(file: str) -> None:
    with open(file, encoding="utf-8") as opened:
        spec = json.load(opened)
    call("unshare", NEW_NAMESPACES)
    furnish(spec)
    child = os.fork()
    if child == 0:
        try:
            become(spec)
        except OSError as error:
            print(f"{spec['args']}: {error}", file=sys.stderr)
        os._exit(127)
    with open(spec["pid"] + ".partial", "w", encoding="ascii") as opened:
        opened.write(str(child))
    os.rename(spec["pid"] + ".partial", spec["pid"])
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{child}/io", encoding="ascii") as opened:
        io = dict(line.split(": ") for line in opened.read().splitlines())
    _, status, usage = os.wait4(child, 0)
    if spec.get("keep"):
        place, folder = spec["keep"]
        shutil.copytree(spec["root"] + place, folder, dirs_exist_ok=True)
    cost = {
        "code": os.waitstatus_to_exitcode(status),
        # This process forked, and is small, so that the figure is the program's own.
        "peak_kib": usage.ru_maxrss,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "disk_bytes": int(io["write_bytes"]),
    }
    with open(spec["cost"], "w", encoding="ascii") as opened:
        json.dump(cost, opened)


if __name__ == "__main__":
    main(sys.argv[1])
