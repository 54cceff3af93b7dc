"""Commands over data sets: what there is, fetch it, verify it."""

from __future__ import annotations

import argparse
import sys

from lightllm_evals.datasets import fetching, overview


def add_data_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares ``data`` and its subcommands."""
    data = commands.add_parser("data", help="list, fetch or verify data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is, its licence and its home").set_defaults(
        run=list_command
    )
    for name, text, run in (
        (
            "fetch",
            "download into the user's cache; non-commercial ones only by name",
            fetch_command,
        ),
        ("verify", "compare checksums of what is here", verify_command),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("names", metavar="NAME", nargs="*", help="data sets; all without any")
        action.set_defaults(run=run)


def list_command(options: argparse.Namespace) -> int:
    """Prints the table of data sets."""
    del options
    print(overview.listing(), file=sys.stdout)  # noqa: T201  # the command's output
    return 0


def fetch_command(options: argparse.Namespace) -> int:
    """Downloads data sets and prints where they are."""
    for path in fetching.fetch(options.names):
        print(path, file=sys.stdout)  # noqa: T201  # the command's output
    return 0


def verify_command(options: argparse.Namespace) -> int:
    """Prints the state of every file; 1 if one is wrong, or named and missing."""
    states = overview.verify(options.names)
    for state in states:
        where = state.location or state.message
        print(f"{state.status:<8}{state.path}  {where}", file=sys.stdout)  # noqa: T201  # output
        if state.status == "wrong":
            print(f"        {state.message}", file=sys.stdout)  # noqa: T201  # output
    bad = {"wrong", "missing"} if options.names else {"wrong"}
    return int(any(state.status in bad for state in states))
