"""pytest-native evaluation of LLMs served by LightLLM.

An eval module imports from here; the plugin loads by its entry point and needs no import.
"""

from lightllm_evals.benchmark import Benchmark, Variant, benchmark
from lightllm_evals.records import Completion, Message, Sample

__all__ = ["Benchmark", "Completion", "Message", "Sample", "Variant", "benchmark"]
