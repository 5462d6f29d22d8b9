"""Kernels that need not import torch: forks of one process that has.

It is run as a program, in a process that has nothing of the grader's
environment and runs nothing of a student's. A fork joins the namespaces of a
sandbox that bubblewrap has made, gives up its rights, and becomes a kernel;
without a sandbox it becomes one with limits alone.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import sys

AGENT = 3  # in a kernel, the descriptor of the agent's pipe
LONGEST = 2**16  # bytes of a request
# Of mounts, control groups, the host's name, System V's segments, processes
# and the network; the others from <linux/prctl.h>, <linux/capability.h>.
NAMESPACES = 0x6E020000
USER_NAMESPACE = 0x10000000
PARENT_DEATH, DUMPABLE, SECCOMP, NO_NEW_RIGHTS = 1, 4, 22, 38
CAPABILITIES = 0x20080522


def main() -> None:
    """Serve whoever sends a request through the standard input."""
    grader = socket.socket(fileno=0)
    # Where the grader's own caches are; gone before a kernel begins.
    os.environ |= json.loads(grader.recv(LONGEST))
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while (asked := socket.recv_fds(grader, LONGEST, 3)) and asked[0]:
        if not os.fork():
            try:
                grader.close()
                become_kernel(json.loads(asked[0]), *asked[1])
            finally:
                os._exit(0)
        for descriptor in asked[1]:
            os.close(descriptor)


def load() -> None:
    """Import what a notebook of the course will import."""
    import ipykernel.kernelapp  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import torch

    import labkit.checks  # noqa: F401
    import labutils  # noqa: F401

    torch.ones(1, device="meta") + 1  # imports more when it is first done
    gc.collect()
    gc.freeze()  # so that the forks share it


def become_kernel(wanted: dict, sandbox: int, agent: int, judge: int) -> None:
    """Begin the kernel that is asked for, give its number and its home to who
    asked, and wait for its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        system("prctl", PARENT_DEATH, signal.SIGKILL.value, 0, 0, 0)
        if wanted["confined"]:
            # Of the namespace of processes, its children alone become a part.
            system("setns", sandbox, NAMESPACES | (
                0 if os.geteuid() == 0 else USER_NAMESPACE))
        pid = os.fork()
    except OSError as error:
        os.write(judge, f"{error}".encode())
        return
    if pid:
        os.close(agent)
        home = os.open(wanted["environment"]["HOME"], os.O_PATH)
        socket.send_fds(socket.socket(fileno=judge), [b"%d" % pid], [home])
        os.waitpid(pid, 0)
        return
    import resource  # not on Windows
    import tempfile

    from ipykernel import kernelapp

    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.dup2(agent, AGENT)
    os.set_inheritable(AGENT, False)
    os.closerange(AGENT + 1, 2**20)
    for name, value in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if wanted["confined"]:
        give_up_rights(wanted["user"], bytes.fromhex(wanted["calls"]))
    os.environ.clear()
    os.environ |= wanted["environment"]
    os.chdir(os.environ["HOME"])
    # Where no sandbox ends with the grader, it would outlive it.
    sys.argv = ["ipykernel_launcher", *wanted["arguments"],
                f"--IPKernelApp.parent_handle={os.getppid()}"]
    tempfile.tempdir = None
    kernelapp.launch_new_instance()


def give_up_rights(user: int, calls: bytes) -> None:
    """Become the user, refuse system calls."""
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    system("capset", header, (ctypes.c_uint32 * 6)())
    system("prctl", NO_NEW_RIGHTS, 1, 0, 0, 0)
    system("prctl", DUMPABLE, 1, 0, 0, 0)

    class Program(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    program = Program(len(calls) // 8, calls)
    system("prctl", SECCOMP, 2, ctypes.byref(program), 0, 0)


def system(call: str, *arguments: object) -> None:
    """Call the C library's function of that name."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*(ctypes.c_long(a) if isinstance(a, int) else a
                             for a in arguments)):
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
