"""Starts a LightLLM server and waits until it answers ``/health``."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

from lightllm_evals.errors import ServerStartError
from lightllm_evals.server.command import LaunchPlan, LaunchSpec, plan_launch
from lightllm_evals.server.health import HealthCheck
from lightllm_evals.server.log_watch import is_port_taken
from lightllm_evals.server.process import ServerProcess

_log = logging.getLogger(__name__)

# After SIGTERM a server finishes the requests in flight, for 60 s at most.
_GRACE_S = 70.0
# A port that was free may be snatched before the server binds it; not again and again.
_NUM_PORT_TRIES = 3


def start_lightllm(
    spec: LaunchSpec, *, log_path: Path, start_timeout_s: float, grace_s: float = _GRACE_S
) -> ServerProcess:
    """Returns a LightLLM server that answers ``/health``; whether it generates is not tried.

    Args:
        spec: Which server.
        log_path: File for everything that it writes.
        start_timeout_s: Seconds until it must be healthy.
        grace_s: Seconds between SIGTERM and SIGKILL at the end.

    Raises:
        ConfigError: What is asked for makes no sense: see ``plan_launch``.
        ServerStartError: It ended, its log shows a failure, or the time is over. By then all of
            its processes are gone.
    """
    for num_tries_left in reversed(range(_NUM_PORT_TRIES)):
        plan = plan_launch(spec)
        try:
            return _start(plan, spec, log_path, start_timeout_s, grace_s)
        except ServerStartError as error:
            if plan.is_port_pinned or not num_tries_left or not is_port_taken(str(error)):
                raise
            _log.warning("another process took a port of the server; starting it on others")
    raise AssertionError  # the last try returns or raises


def _start(
    plan: LaunchPlan, spec: LaunchSpec, log_path: Path, timeout_s: float, grace_s: float
) -> ServerProcess:
    with ExitStack() as stack:
        server = stack.enter_context(
            ServerProcess(
                plan.command,
                url=plan.url,
                log_path=log_path,
                env=spec.env,
                grace_s=grace_s,
                nccl_port=plan.nccl_port,
                ports=plan.ports,
                warnings=plan.warnings,
            )
        )
        with HealthCheck(plan.url) as health:
            server.wait_until(health.is_healthy, timeout_s)
        # Healthy: from here on the caller ends it.
        stack.pop_all()
    return server
