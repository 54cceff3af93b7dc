"""Write the table in ``docs/options.md`` from the options that the plugin declares.

``--check`` writes nothing and exits with 1 if the table is not up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lightllm_evals.pytest_options import OPTIONS

PAGE = Path(__file__).with_name("options.md")
BEGIN, END = "<!-- options: begin -->\n", "<!-- options: end -->\n"


def table() -> str:
    """Returns the table, a row an option."""
    rows = ["| option | ini key | meaning |", "| --- | --- | --- |"]
    for option in OPTIONS:
        given = f"[{option.metavar}]" if option.without_value else option.metavar
        flag = f"--lightllm-{option.name} {given}".strip().replace("|", "\\|")
        key = f"lightllm_{option.name.replace('-', '_')}"
        rows.append(f"| `{flag}` | `{key}` | {option.help} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    old = PAGE.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = f"{before}{BEGIN}{table()}{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
