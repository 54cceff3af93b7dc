"""pytest-native evaluation of LLMs served by LightLLM.

An eval module imports from here; the plugin loads by its entry point and needs no import.
"""

from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, Variant, benchmark
from lightllm_evals.records import Choice, Completion, Likelihood, Message, Sample
from lightllm_evals.results import RecordMetric

__all__ = [
    "Benchmark",
    "Choice",
    "Completion",
    "Likelihood",
    "LikelihoodVariant",
    "Message",
    "RecordMetric",
    "Sample",
    "Variant",
    "benchmark",
]
