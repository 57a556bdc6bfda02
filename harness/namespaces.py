"""Namespaces of Linux: a process with its own files, processes and network, and few rights.

Needs nothing but the C library. Every function raises OSError where the system does not allow it.
"""

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import sys

NEW_FILES, NEW_HOST, NEW_IPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x1000_0000, 0x2000_0000, 0x4000_0000
READ_ONLY, NO_SUID, NO_DEVICES, REMOUNT, BIND = 1, 2, 4, 32, 4096
RECURSIVE, PRIVATE, DETACH = 1 << 14, 1 << 18, 2
DEATH_SIGNAL, NO_NEW_RIGHTS = 1, 38  # of prctl
CAPABILITIES_VERSION = 0x2008_0522
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "i686": 217}
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 1  # of a network interface
NOBODY = 65534
FIRST_USER = 1_879_000_000  # from here on, nobody has an account; each box takes another user


def call(name, *arguments):
    """Call a function of the C library; raises OSError if it fails."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, options=None):
    """Mount a file system, as mount(2) does."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    call("mount", *words, ctypes.c_ulong(flags), options and options.encode())


def bind(source, target):
    """Show a file or folder elsewhere, too, and let nobody write to it there."""
    mount(source, target, flags=BIND | RECURSIVE)
    mount(None, target, flags=BIND | REMOUNT | READ_ONLY | NO_SUID)


def room(target, megabytes, mode="0755"):
    """Mount an empty folder in memory, which holds at most so many megabytes."""
    options = f"size={megabytes}m,nr_inodes=8192,mode={mode}"
    mount("tmpfs", target, "tmpfs", NO_SUID | NO_DEVICES, options)


def is_root():
    """Whether this is the system's own root, which needs no namespace of users."""
    return os.geteuid() == 0


def become(inside, outside, group):
    """In a new namespace of users, become `inside`; outside, the user stays the same."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside} 1"),
        ("gid_map", f"{inside} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def enter():
    """Continue in a child of this process, with files, processes and a network of its own.

    Whatever it starts ends with it, and it ends with this process, which ends when the other end
    of its standard input is closed.
    """
    user, group = os.geteuid(), os.getegid()
    own = NEW_FILES | NEW_HOST | NEW_IPC | NEW_PROCESSES | NEW_NETWORK
    if is_root():
        call("unshare", own)
    else:
        call("unshare", own | NEW_USER)
        become(0, user, group)
    child = os.fork()
    if child:
        wait_for(child)
    call("prctl", DEATH_SIGNAL, 9, 0, 0, 0)
    mount(None, "/", flags=RECURSIVE | PRIVATE)
    mount("proc", "/proc", "proc")
    with socket.socket() as any_socket:
        name = b"lo".ljust(16, b"\0")
        flags = fcntl.ioctl(any_socket, GET_FLAGS, name + bytes(24))
        (known,) = struct.unpack_from("H", flags, 16)
        fcntl.ioctl(any_socket, SET_FLAGS, name + struct.pack("H", known | UP) + bytes(22))


def wait_for(child):
    """Wait until a child has ended, or nobody is at the other end of standard input; then end."""
    ended, closed = os.pidfd_open(child), select.poll()
    closed.register(0, select.POLLHUP)
    closed.register(ended, select.POLLIN)
    closed.poll()
    os.kill(child, signal.SIGKILL)  # it may have ended by itself
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


def new_root(folder, shown, rooms=()):
    """Let this process and its children see only these files and folders, and nothing else.

    `folder` is an empty one. In `rooms`, which are not there yet, something can be mounted later.
    """
    call("unshare", NEW_FILES)
    mount("tmpfs", folder, "tmpfs", NO_SUID, "size=4m,mode=0755")
    for source in shown:
        target = folder + source
        if os.path.islink(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
            bind(source, target)
        elif os.path.exists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "wb").close()
            bind(source, target)
    for name in (*rooms, "/proc", "/.before"):
        os.makedirs(folder + name, exist_ok=True)
    # Where users are mapped, only a process that sees one /proc may mount another.
    mount("/proc", folder + "/proc", flags=BIND | RECURSIVE)
    os.chdir(folder)
    call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".before")
    os.chdir("/")
    call("umount2", b"/.before", DETACH)
    os.rmdir("/.before")
    mount(None, "/", flags=REMOUNT | BIND | READ_ONLY | NO_SUID)


def drop_rights(user):
    """Be nobody from now on: with no rights, and no way to get any."""
    if is_root() and own_user_is_of_the_system():
        os.setgroups([])
        try:
            os.setresgid(user, user, user)
        except OSError:  # here, users have smaller numbers
            user = NOBODY
            os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    else:
        call("unshare", NEW_USER)
        become(NOBODY, 0, 0)
    call("prctl", NO_NEW_RIGHTS, 1, 0, 0, 0)
    header = struct.pack("Ii", CAPABILITIES_VERSION, 0)
    call("capset", header, bytes(24))


def own_user_is_of_the_system():
    """Whether users here are those of the system, and not just one that is mapped."""
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        return int(file.read().split()[2]) > 1


def probe():
    """Try all that a box needs, in this process, which is of no other use afterwards."""
    enter()
    room("/dev/shm", 8)
    os.mkdir("/dev/shm/root")
    drop = FIRST_USER + os.getpid()
    new_root("/dev/shm/root", ["/dev/null"])
    call("unshare", NEW_FILES | NEW_PROCESSES)
    child = os.fork()
    if not child:
        mount("proc", "/proc", "proc")
        drop_rights(drop)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


if __name__ == "__main__":
    try:
        probe()
    except (OSError, KeyError) as error:
        print(error)
        sys.stdout.flush()
        os._exit(1)
