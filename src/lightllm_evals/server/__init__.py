"""Start a LightLLM or embedded server, watch it, and end it with everything below it.

lightllm, embedded   the two ways to start
process              a started server: wait, poll, stop
guardian             the process in between, which outlives the harness (a program of its own)
command, flags       which command line: profile, user and installed version brought together
ports, environment   what a server gets from its host
health, log_watch    how its state is seen
leftovers            what it leaves behind
"""

from __future__ import annotations

from lightllm_evals.server.command import LaunchSpec
from lightllm_evals.server.embedded import start_embedded
from lightllm_evals.server.lightllm import start_lightllm
from lightllm_evals.server.process import ServerProcess

__all__ = ["LaunchSpec", "ServerProcess", "start_embedded", "start_lightllm"]
