"""LightLLM's HTTP API, of either generation, as Completion records."""

from lightllm_evals.client.address import base_url
from lightllm_evals.client.client import Client
from lightllm_evals.client.rate import RateLimit

__all__ = ["Client", "RateLimit", "base_url"]
