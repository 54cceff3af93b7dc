"""What a jailed program may see: the standard library and shared libraries, no packages."""

# Paths are plain text here, as the kernel takes them.
# ruff: noqa: PTH110, PTH112, PTH113, PTH118, PTH208

from __future__ import annotations

import os
import sys

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/full")
# Installed packages may hold a benchmark with its solutions.
PACKAGE_FOLDERS = ("site-packages", "dist-packages")

_LIBRARY_ROOTS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_DATA = ("/etc/ld.so.cache", "/usr/share/zoneinfo")


def stdlib_folders() -> list[str]:
    """Returns where this interpreter imports from; start.py took its own folder out."""
    return [p for p in sys.path if p.startswith("/") and os.path.isdir(p)]


def stdlib_entries() -> list[str]:
    """Returns files and folders of the standard library, without installed packages."""
    archives = [p for p in sys.path if os.path.isfile(p)]
    entries = [
        os.path.join(folder, name)
        for folder in stdlib_folders()
        for name in os.listdir(folder)
        if name not in PACKAGE_FOLDERS
    ]
    return archives + entries


def library_roots() -> list[str]:
    """Returns the folders that hold shared libraries."""
    own = os.path.join(sys.base_prefix, "lib")
    return [p for p in (*_LIBRARY_ROOTS, own) if os.path.isdir(p)]


def library_entries() -> list[str]:
    """Returns shared libraries, and the folders that hold nothing else."""
    found = []
    for root in library_roots():
        for name in os.listdir(root):
            if "-linux-" in name or ".so" in name:
                found.append(os.path.join(root, name))
    return found + [p for p in _DATA if os.path.exists(p)]


def hidden_folders(root: str) -> list[str]:
    """Returns the package folders in or just below ``root``."""
    below = [root]
    try:
        below += [os.path.join(root, n) for n in os.listdir(root) if n.startswith("python")]
    except OSError:
        return []
    candidates = [os.path.join(folder, name) for folder in below for name in PACKAGE_FOLDERS]
    return [p for p in candidates if os.path.isdir(p)]


def mounted_folders() -> list[str]:
    """Returns the folders that a private root needs, outer ones first and none twice."""
    wanted = [*library_roots(), *stdlib_folders()]
    if os.path.isdir(_DATA[1]):
        wanted.append(_DATA[1])
    # A library root in a prefix of its own may hold anything: only its stdlib is mounted.
    own = os.path.join(sys.base_prefix, "lib")
    if own not in _LIBRARY_ROOTS and own in wanted:
        wanted.remove(own)
    kept: list[str] = []
    for path in sorted(set(wanted), key=len):
        if not any(path == k or path.startswith(k + "/") for k in kept):
            kept.append(path)
    return kept
