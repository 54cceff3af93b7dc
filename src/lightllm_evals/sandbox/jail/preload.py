"""Modules that completions commonly import, loaded once per zygote and not once per sample."""

# ruff: noqa: SIM905  # one word a line would be pages

from __future__ import annotations

import builtins
import importlib
import sys

COMMON = (
    "abc array ast bisect calendar cmath collections.abc contextlib copy dataclasses "
    "datetime decimal enum fractions functools hashlib heapq inspect io itertools json keyword "
    "linecache math numbers operator pprint queue random re secrets statistics string struct "
    "textwrap threading time traceback types typing unicodedata uuid warnings zlib"
).split()

# Without access to files, what is not loaded now can never be.
WITHOUT_FILES = (
    "asyncio base64 binascii codecs collections colorsys concurrent.futures.process "
    "concurrent.futures.thread configparser copyreg csv ctypes difflib doctest encodings.ascii "
    "encodings.idna encodings.latin_1 encodings.utf_16 encodings.utf_8 encodings.punycode "
    "fileinput fnmatch getpass glob gzip bz2 lzma html html.parser http ipaddress "
    "json.decoder locale logging mimetypes multiprocessing.pool operator optparse os pathlib "
    "pickle platform plistlib posixpath pstats reprlib sched select shelve shlex shutil signal "
    "socket sqlite3 stat stringprep subprocess symtable sysconfig tempfile timeit token tokenize "
    "tomllib trace unittest unittest.mock urllib.parse urllib.request weakref "
    "xml.etree.ElementTree zipfile zoneinfo _strptime sre_compile"
).split()


def load(names: list[str]) -> list[str]:
    """Imports the modules and returns the names of those that this Python lacks."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing


def load_packages(packages: list[str], folder: str) -> list[str]:
    """Imports installed packages from ``folder`` and returns the names of those that fail.

    The folder is on the path only meanwhile, so nothing else can be imported from it.
    """
    sys.path.append(folder)
    try:
        return load(packages)
    finally:
        sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)


def add_site_builtins() -> None:
    """Gives programs ``exit`` and ``quit``, which -S leaves out."""
    import _sitebuiltins  # noqa: PLC0415  # CPython only

    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
