"""The command line: options, the ready line, signals and the parent's death."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lightllm_evals.embedded.answers import Answers, read_answers
from lightllm_evals.embedded.application import Application
from lightllm_evals.embedded.engine import Engine
from lightllm_evals.embedded.faults import FaultPlan, check_rates, parse_fault
from lightllm_evals.embedded.generation import Generator, Settings
from lightllm_evals.embedded.simulated import SimulatedEngine
from lightllm_evals.embedded.stage import Stage
from lightllm_evals.embedded.steps import Timing
from lightllm_evals.embedded.wire import HttpServer, bind
from lightllm_evals.errors import HarnessError, ServerStartError

READY_WORD = "LIGHTLLM_EVALS_READY"
USAGE_STATUS = 4
"""Exit status after one sentence on standard error, as pytest's own for usage errors."""

DEFAULT_MAX_REQ_TOTAL_LEN = 2048

_log = logging.getLogger("lightllm_evals.embedded")


def build_parser(prog: str = "python -m lightllm_evals.embedded") -> argparse.ArgumentParser:
    """Returns the parser of all options."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A LightLLM-speaking server on loopback, on a small CPU model or simulated.",
        exit_on_error=True,
    )
    add = parser.add_argument
    add("--backend", choices=["llama", "simulated"], default="llama")
    add("--dialect", choices=["a", "b"], default="b", help="LightLLM of 2025 (a) or 2026 (b)")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 picks a free one")
    add("--model-name", help="what /get_model_name says")
    add("--slots", type=_positive, default=8, help="completions at the same time")
    add("--max-req-total-len", type=_positive, help="limit on prompt plus output tokens")
    add(
        "--return-all-prompt-logprobs",
        action="store_true",
        help="dialect a: log-probabilities of the prompt in every /generate answer",
    )
    add(
        "--exit-with-parent",
        action="store_true",
        help="end when standard input ends; Ctrl-C is left to the parent",
    )
    llama = parser.add_argument_group("backend llama")
    llama.add_argument("--gguf", type=Path, help="another model than the fetched one")
    llama.add_argument("--threads", type=_positive, help="default: all CPUs but one")
    simulated = parser.add_argument_group("backend simulated")
    add = simulated.add_argument
    add("--answers", type=Path, help="JSON lines of prompt, completion and output_tokens")
    add("--step-ms", type=_duration, default=0.0, help="time of a step: one token for all")
    add("--prefill-ms", type=_duration, default=0.0, help="time for each prompt token")
    add("--fault", action="append", default=[], metavar="KIND=N", help="see docs/embedded.md")
    add(
        "--fault-scope",
        choices=["all", "answers"],
        help="which prompts fail: all, or those in the answers file (default with one)",
    )
    add("--die-after", type=_positive, metavar="N", help="crash after N answers")
    add("--start-delay", type=_duration, default=0.0, metavar="S", help="seconds of loading")
    add("--seed", type=int, default=0, help="of the faults")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def _duration(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration")
    return value


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the server; returns its exit status. Errors are one sentence on standard error."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        options = build_parser().parse_args(argv)
    except SystemExit as stop:
        return USAGE_STATUS if stop.code else 0
    try:
        return asyncio.run(_serve(options))
    except KeyboardInterrupt:
        return 0
    except HarnessError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence of a failed start
        return USAGE_STATUS


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    # Taken before the model is loaded: whoever asks for a taken port learns it at once.
    with _bound(options) as bound:
        _watch_signals(options, stop)
        engine, stage = _backend(options)
        await _sleep_or_stop(options.start_delay, stop)
        if stop.is_set():
            return 0
        options.port = bound.getsockname()[1]
        settings = _settings(options, engine)
        server = HttpServer(Application(Generator(engine, settings), stage))
        await server.listen(bound)
        _announce(options)
        await stop.wait()
        await server.stop()
    return 0


async def _sleep_or_stop(delay_s: float, stop: asyncio.Event) -> None:
    if delay_s:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), delay_s)


def _backend(options: argparse.Namespace) -> tuple[Engine, Stage | None]:
    if options.backend == "llama":
        return _llama(options), None
    rules = [parse_fault(text) for text in options.fault]
    check_rates(rules)
    answers = read_answers(options.answers) if options.answers else Answers({})
    scope = options.fault_scope or ("answers" if answers else "all")
    plan = FaultPlan(
        rules=rules,
        seed=options.seed,
        is_for_known_only=scope == "answers",
        die_after=options.die_after,
    )
    timing = Timing(step_ms=options.step_ms, prefill_ms_per_token=options.prefill_ms)
    engine = SimulatedEngine(answers, timing, options.slots)
    return engine, Stage(engine, plan, options.dialect)


def _llama(options: argparse.Namespace) -> Engine:
    # Only here: both take longer to import than the simulated backend to start.
    from lightllm_evals.embedded import weights  # noqa: PLC0415
    from lightllm_evals.embedded.llama import LlamaEngine  # noqa: PLC0415

    return LlamaEngine(
        options.gguf or weights.ensure(),
        num_slots=options.slots,
        max_req_total_len=_max_req_total_len(options),
        threads=options.threads,
    )


def _max_req_total_len(options: argparse.Namespace) -> int:
    return int(options.max_req_total_len or DEFAULT_MAX_REQ_TOTAL_LEN)


def _settings(options: argparse.Namespace, engine: Engine) -> Settings:
    return Settings(
        dialect=options.dialect,
        model_name=options.model_name or engine.name,
        max_req_total_len=_max_req_total_len(options),
        host=options.host,
        port=options.port,
        all_prompt_logprobs=options.return_all_prompt_logprobs,
        seed=options.seed,
    )


def _bound(options: argparse.Namespace) -> socket.socket:
    try:
        return bind(options.host, options.port)
    except (OSError, OverflowError) as error:
        raise ServerStartError(
            f"Cannot listen on {options.host}:{options.port}: {error}. "
            "Give another --port, or --port 0 for a free one."
        ) from error


def _announce(options: argparse.Namespace) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    ready = {
        "url": f"http://{host}:{options.port}",
        "pid": os.getpid(),
        "dialect": options.dialect,
        "backend": options.backend,
    }
    print(READY_WORD, json.dumps(ready), flush=True)  # noqa: T201 - the contract with a parent


def _watch_signals(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """SIGTERM lets requests in flight finish, SIGINT ends at once, as LightLLM does."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if not options.exit_with_parent:
        return
    # A terminal sends Ctrl-C to the whole group; the parent still wants its answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A thread, since it also works while a model loads, and on inputs that no selector takes.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends the process at the end of standard input: nobody is left to want an answer."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(0)
