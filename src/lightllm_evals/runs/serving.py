"""The servers of a run: connected to, started, or the embedded one; probed before any case."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lightllm_evals.client import Client, RateLimit, base_url
from lightllm_evals.embedded.weights import SMOLLM2
from lightllm_evals.profiles import Profile
from lightllm_evals.records import ServerInfo
from lightllm_evals.runner import Transport
from lightllm_evals.server import LaunchSpec, ServerProcess, start_embedded, start_lightllm
from lightllm_evals.settings import Settings

DEFAULT_CONCURRENCY = 64
EMBEDDED_CONCURRENCY = 8

_PATIENCE_S = 3.0

# One more attempt, for a connection that broke by chance; then another replica has the request.
_RETRIES_BESIDE_OTHERS = 1


class Replica(Transport, Protocol):
    """One server, as a run uses it."""

    def check_scoring(self) -> None:
        """Makes sure that it scores given texts rightly.

        Raises:
            ServerError: It cannot, or does it wrong.
        """

    def close(self) -> None:
        """Closes all connections; safe to call twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Servers that answered the probe.

    Attributes:
        kind: "connected", "started" or "embedded"; "stored" where there is none.
        clients: One a replica.
        infos: What the probe found, one a replica.
        processes: Servers that this run started and has to end.
        concurrency: Requests to keep in flight over all replicas.
        warnings: Sentences for the header.
    """

    kind: str
    clients: tuple[Replica, ...]
    infos: tuple[ServerInfo, ...]
    processes: tuple[ServerProcess, ...]
    concurrency: int
    warnings: tuple[str, ...] = ()

    @property
    def replica_limit(self) -> int | None:
        """What the smallest replica batches at most; more would only queue in our deadline."""
        known = [info.running_max_req_size for info in self.infos if info.running_max_req_size]
        return min(known, default=None)

    def check_scoring(self) -> None:
        """Makes sure that every server scores given texts rightly, by a known answer.

        Raises:
            ServerError: One cannot, or does it wrong; the sentence has the flags that it needs.
        """
        for client in self.clients:
            client.check_scoring()

    def poll(self) -> None:
        """Looks after the servers that we started.

        Raises:
            ServerDiedError: One of them is gone; carries its log's tail.
        """
        for process in self.processes:
            process.poll()

    def close(self) -> None:
        """Closes the connections, then ends what was started; safe to call twice."""
        for client in self.clients:
            client.close()
        for process in self.processes:
            process.stop()


def open_serving(
    settings: Settings,
    profile: Profile | None,
    *,
    log_dir: Path,
    needs_prompt_logprobs: bool = False,
    say: Callable[[str], None],
) -> Serving:
    """Returns servers that are ready; nothing stays behind when one of them is not.

    Args:
        settings: What the user asked for.
        profile: The model's profile, if there is one.
        log_dir: Where logs of servers that we start go.
        needs_prompt_logprobs: A server that we start gets the flags for it.
        say: Told, in one line, about anything that takes long.

    Raises:
        ConfigError: An address or option makes no sense.
        ServerError: A server could not be started.
        RequestError: A server does not answer as a LightLLM server does.
    """
    processes: list[ServerProcess] = []
    clients: list[Client] = []
    warnings: list[str] = []
    try:
        urls = _addresses(
            settings,
            profile,
            processes,
            warnings,
            log_dir=log_dir,
            needs_prompt_logprobs=needs_prompt_logprobs,
            say=say,
        )
        rate = RateLimit(settings.rate) if settings.rate else None
        infos = []
        for url in urls:
            client = Client(
                url,
                request_timeout_s=settings.request_timeout_s,
                retries=settings.retries,
                unreachable_retries=_RETRIES_BESIDE_OTHERS if len(urls) > 1 else None,
                stream=settings.stream,
                rate=rate,
            )
            clients.append(client)
            infos.append(_probed(client, settings.ready_within_s, say))
    except BaseException:
        # Whatever went wrong, Ctrl-C included: no server of ours may outlive it.
        for client in clients:
            client.close()
        for process in processes:
            process.stop()
        raise
    kind = settings.serving_kind
    return Serving(
        kind=kind,
        clients=tuple(clients),
        infos=tuple(infos),
        processes=tuple(processes),
        concurrency=_concurrency(settings, profile, kind),
        warnings=tuple(warnings),
    )


def _probed(client: Client, wait_s: float, say: Callable[[str], None]) -> ServerInfo:
    """Returns what the probe finds; says what is waited for where that takes long."""
    patience = threading.Timer(
        _PATIENCE_S,
        say,
        [f"waiting for {client.url} to answer, at most {wait_s:g} s (--lightllm-start-timeout)"],
    )
    # A session that ends before the server answers does not wait for this.
    patience.daemon = True
    patience.start()
    try:
        return client.probe(wait_s=wait_s)
    finally:
        patience.cancel()
        patience.join()


def _addresses(
    settings: Settings,
    profile: Profile | None,
    processes: list[ServerProcess],
    warnings: list[str],
    *,
    log_dir: Path,
    needs_prompt_logprobs: bool,
    say: Callable[[str], None],
) -> list[str]:
    if settings.urls:
        return [base_url(url) for url in settings.urls]
    for replica in range(settings.replicas):
        log_path = log_dir / f"server-{replica}.log"
        if settings.model_dir:
            say(f"starting LightLLM with {settings.model_dir}; its log is {log_path}")
            process = start_lightllm(
                _launch_spec(settings, profile, needs_prompt_logprobs=needs_prompt_logprobs),
                log_path=log_path,
                start_timeout_s=settings.ready_within_s,
            )
            warnings.extend(process.warnings)
        else:
            say("starting the embedded server (the first time fetches its model, 94 MB)")
            process = start_embedded(
                _embedded_args(settings, profile),
                log_path=log_path,
                start_timeout_s=settings.ready_within_s,
            )
        processes.append(process)
    return [process.url for process in processes]


def _launch_spec(
    settings: Settings, profile: Profile | None, *, needs_prompt_logprobs: bool
) -> LaunchSpec:
    assert settings.model_dir is not None
    # Translated and completed for the installed version by ``fit_flags``.
    scoring = {"enable_prompt_logprobs": True} if needs_prompt_logprobs else {}
    return LaunchSpec(
        model_dir=settings.model_dir,
        python=settings.python,
        flags={**scoring, **(profile.launch if profile else {})},
        server_args=settings.server_args,
    )


def _embedded_args(settings: Settings, profile: Profile | None) -> list[str]:
    options = profile.embedded if profile else None
    slots = (options and options.slots) or EMBEDDED_CONCURRENCY
    args = ["--slots", str(max(slots, settings.concurrency or 0))]
    if options and options.threads:
        args += ["--threads", str(options.threads)]
    if options and options.max_req_total_len:
        args += ["--max-req-total-len", str(options.max_req_total_len)]
    gguf = settings.gguf or (options and options.gguf)
    if gguf:
        args += ["--gguf", str(gguf)]
    # A baseline is looked for by the model's name: another model must not pass for this one.
    return [*args, "--model-name", Path(gguf or SMOLLM2.member).stem]


def _concurrency(settings: Settings, profile: Profile | None, kind: str) -> int:
    default = EMBEDDED_CONCURRENCY if kind == "embedded" else DEFAULT_CONCURRENCY
    return settings.concurrency or (profile and profile.concurrency) or default
