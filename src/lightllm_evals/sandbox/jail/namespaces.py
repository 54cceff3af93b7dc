"""Level 3: a user, mount, pid, net, ipc, uts and cgroup namespace, and a root of our own."""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH114

from __future__ import annotations

import os
import signal
from pathlib import Path

from . import linux, paths, scratch

_ALL = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)
_TMPFS = linux.MS_NOSUID | linux.MS_NODEV
_READ_ONLY = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
# Where the new root is built: any folder will do, since the mount is ours alone.
_BASES = ("/tmp", "/var/tmp", "/mnt", "/dev/shm", "/var", "/home")  # noqa: S108
SCRATCH = "/tmp"  # noqa: S108  # inside the new root


def enter() -> None:
    """Moves this process into new namespaces; its next child is process 1 there.

    Raises:
        OSError: The host does not allow it.
    """
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(_ALL)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
    die_with_parent()


def die_with_parent() -> None:
    """Has the kernel end this process when its parent ends."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def own_pid_namespace() -> int:
    """Returns a descriptor of the pid namespace this process is in; call it before build_root."""
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def build_root(scratch_mb: int) -> None:
    """Replaces the root by a tmpfs with read-only libraries and a scratch folder.

    Built inside a tmpfs over some existing folder, so that the disk is not touched and may be
    read-only.

    Raises:
        OSError: The host does not allow one of the mounts.
    """
    sources = [(os.path.realpath(p), p) for p in paths.mounted_folders()]
    base = next((p for p in _BASES if os.path.isdir(p) and not os.path.islink(p)), "")
    if not base:
        raise OSError(f"none of {', '.join(_BASES)} is a folder")
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", base, "tmpfs", _TMPFS, "size=1m,mode=755")
    os.mkdir(f"{base}/old")
    os.mkdir(f"{base}/new")
    linux.pivot_root(base, f"{base}/old")
    os.chdir("/")
    linux.mount("tmpfs", "/new", "tmpfs", _TMPFS, "size=4m,mode=755,nr_inodes=8192")
    for source, target in sources:
        _bind_read_only(f"/old{source}", f"/new{target}")
    _bind_devices()
    os.makedirs(f"/new{SCRATCH}", exist_ok=True)
    options = f"size={scratch_mb}m,mode=700,nr_inodes={scratch.MAX_ENTRIES}"
    linux.mount("tmpfs", f"/new{SCRATCH}", "tmpfs", _TMPFS | linux.MS_NOEXEC, options)
    os.chdir("/new")
    linux.pivot_root(".", ".")
    linux.umount_lazily(".")
    linux.mount(None, "/", None, linux.MS_REMOUNT | linux.MS_BIND | _READ_ONLY)
    os.chdir(SCRATCH)


def _bind_read_only(source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    linux.mount(source, target, None, linux.MS_BIND | linux.MS_REC)
    # Flags that the outer mount has are locked: leaving one out would be refused.
    locked = os.statvfs(target).f_flag & (_READ_ONLY | linux.MS_NOEXEC)
    linux.mount(None, target, None, linux.MS_BIND | linux.MS_REMOUNT | _READ_ONLY | locked)
    for folder in paths.hidden_folders(target):
        linux.mount("tmpfs", folder, "tmpfs", _READ_ONLY, "size=4k")


def _bind_devices() -> None:
    os.mkdir("/new/dev")
    for device in paths.DEVICES:
        if os.path.exists(f"/old{device}"):
            Path(f"/new{device}").touch()
            linux.mount(f"/old{device}", f"/new{device}", None, linux.MS_BIND)
