"""A LightLLM-speaking HTTP server on loopback: a real small model, or a simulated one.

``python -m lightllm_evals.embedded`` starts it; the parent reads one ``LIGHTLLM_EVALS_READY``
line on its standard output. The modules, from the bottom up:

    engine          what a backend is: tokens in, tokens out
    stopping        when a completion ends, in either dialect
    sampling        the ``parameters`` of ``/generate``: defaults and limits
    openai_forms    the bodies of ``/v1/*``: fields, types and their 422 answers
    answers         canned answers, and ``pieces``, the tokenizer that goes with them
    simulated       backend without a model: a timing model of continuous batching
    faults          errors on demand
    weights, llama  backend with a real model, by llama.cpp
    wire            HTTP/1.1 on asyncio
    native_api, openai_api, status_api, application    the endpoints
    command         options, the ready line, signals
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to stop; returns its exit status."""
    # Only here: importing this package must cost a pytest run nothing.
    from lightllm_evals.embedded.command import run  # noqa: PLC0415

    return run(argv)
