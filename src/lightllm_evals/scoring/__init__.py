"""Completion to what is judged, one module a family of benchmarks. Pure and total: any text."""

from lightllm_evals.scoring.extraction import ExtractionError, found_answer

__all__ = ["ExtractionError", "found_answer"]
