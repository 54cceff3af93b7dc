"""A request as a person reads it: the whole prompt, what is scored, and how it is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from lightllm_evals.excerpt import printable
from lightllm_evals.records import Request, to_json
from lightllm_evals.results import PlannedCase


def case_lines(case: PlannedCase, profile: str) -> list[str]:
    """Returns all that is sent for a case, as lines.

    Args:
        case: The case.
        profile: Name of the profile in use, "" without one.
    """
    request = case.request
    facts = [
        ("form", f"{case.benchmark} ({case.variant})"),
        ("profile", profile or "none"),
        ("api", request.api),
        *_settings(request),
        ("hash", case.prompt_hash),
    ]
    lines = [case.nodeid, *(f"  {name:<10}  {text}" for name, text in facts)]
    for title, text in _parts(request):
        lines += [f"----- {title} -----", printable(text)]
    return [*lines, "----- end -----"]


def _settings(request: Request) -> Iterator[tuple[str, str]]:
    values = to_json(request.params)
    if request.scoring:
        yield "scored as", request.scoring
        yield "parameters", f"add_special_tokens={values['add_special_tokens']}"
        return
    stops = values.pop("stop_sequences")
    yield "parameters", ", ".join(f"{name}={value}" for name, value in values.items())
    yield "stop texts", ", ".join(map(repr, stops)) or "none"


def _parts(request: Request) -> Iterator[tuple[str, str]]:
    for turn in request.messages:
        yield turn.role, turn.content
    if not request.choices:
        if not request.messages:
            yield "prompt", request.prompt
        return
    if request.prompt:
        yield "context of every choice", request.prompt
    for number, choice in enumerate(request.choices, 1):
        if choice.context:
            yield f"choice {number}, context", choice.context
        # Repr: the space that joins it to its context is what matters.
        yield f"choice {number}", repr(choice.continuation)
