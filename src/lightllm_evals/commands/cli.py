"""The command ``lightllm-evals``: what needs no pytest, and a look at single prompts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from lightllm_evals.commands.data import add_data_command
from lightllm_evals.errors import HarnessError

USAGE_STATUS = 4
"""As pytest's own for what makes no sense."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        # It has a parser of its own, which `python -m lightllm_evals.embedded` shares.
        from lightllm_evals.embedded import main as serve  # noqa: PLC0415  # not always installed

        return serve(arguments[1:])
    try:
        if arguments[:1] == ["show"]:
            # Its options are pytest's.
            from lightllm_evals.pytest_show import show  # noqa: PLC0415  # brings pytest along

            return show(arguments[1:])
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except HarnessError as error:
        print(f"ERROR: {error}", file=sys.stderr)  # noqa: T201  # the command's own voice
        return USAGE_STATUS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lightllm-evals",
        description="Compare and merge runs; serve a LightLLM-speaking model on this CPU.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    from lightllm_evals.commands.runs import add_commands  # noqa: PLC0415  # brings scipy along

    commands.add_parser(
        "serve", help="run the embedded or a simulated server; --help lists its options"
    )
    commands.add_parser("show", help="print the whole prompt of a sample, as it is sent")
    add_commands(commands)
    add_data_command(commands)
    return parser
