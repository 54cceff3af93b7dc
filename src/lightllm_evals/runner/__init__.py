"""Performs a run's requests: all of them, whoever waits for which, against all servers."""

from lightllm_evals.runner.generation import Generation
from lightllm_evals.runner.progress import Progress
from lightllm_evals.runner.transport import Outcome, Transport

__all__ = ["Generation", "Outcome", "Progress", "Transport"]
