"""Samples from where they are kept, as records. Collection calls these: no server, no model."""

from lightllm_evals.datasets.commonsense import (
    arc_challenge,
    arc_easy,
    boolq,
    hellaswag,
    openbookqa,
    piqa,
    winogrande,
)
from lightllm_evals.datasets.evalplus import humaneval_plus, mbpp_plus
from lightllm_evals.datasets.humaneval import humaneval
from lightllm_evals.datasets.instructions import ifeval
from lightllm_evals.datasets.jsonl import jsonl
from lightllm_evals.datasets.knowledge import ceval, cmmlu, commonsenseqa, mmlu, truthfulqa
from lightllm_evals.datasets.language import lambada, wikitext2
from lightllm_evals.datasets.maths import gsm8k, math500
from lightllm_evals.datasets.mbpp import mbpp, mbpp_sanitized
from lightllm_evals.datasets.olmes import olmes_shots
from lightllm_evals.datasets.reasoning import bbh, drop

__all__ = [
    "arc_challenge",
    "arc_easy",
    "bbh",
    "boolq",
    "ceval",
    "cmmlu",
    "commonsenseqa",
    "drop",
    "gsm8k",
    "hellaswag",
    "humaneval",
    "humaneval_plus",
    "ifeval",
    "jsonl",
    "lambada",
    "math500",
    "mbpp",
    "mbpp_plus",
    "mbpp_sanitized",
    "mmlu",
    "olmes_shots",
    "openbookqa",
    "piqa",
    "truthfulqa",
    "wikitext2",
    "winogrande",
]
