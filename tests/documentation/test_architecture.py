"""``docs/architecture.md`` has a room for every module."""

from __future__ import annotations

import re
from pathlib import Path

import lightllm_evals

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_every_module_has_a_room() -> None:
    package = Path(lightllm_evals.__file__).parent
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    for room in ("commands", "reports", "runs"):
        modules |= {path.stem for path in (package / room).glob("*.py")} - {"__init__"}
    rooms = PAGE.read_text(encoding="utf-8").partition("\n| room | modules |\n")[2]
    table = rooms.partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == modules
