"""The script that a zygote is exec'd with: ``python -s -S start.py '{...}'``."""

from __future__ import annotations

import sys

# Before anything else is imported: this folder must never answer an import.
_HERE = sys.path.pop(0) if not getattr(sys.flags, "safe_path", False) else None

import importlib.util  # noqa: E402
import json  # noqa: E402


def _load_package() -> None:
    """Makes this folder importable as ``jail``, without putting any path on ``sys.path``."""
    folder = __file__.rpartition("/")[0]
    spec = importlib.util.spec_from_file_location(
        "jail", f"{folder}/__init__.py", submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the jail from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["jail"] = module
    spec.loader.exec_module(module)


_load_package()
zygote = importlib.import_module("jail.zygote")
zygote.main(json.loads(sys.argv[1]))
