"""Judge a run: conditions, policies, and the comparison with a baseline.

conditions   one bound on one metric (``--lightllm-min``)
identity     what a score depends on, and in what two runs differ
scores       a run as the gate sees it; folding repetitions
policy       what a run must meet (``--lightllm-gate``)
comparison   the paired comparison of scores;  timing  of timings
checks       what the policy asks for, one by one
verdicts     one verdict a benchmark, one for the run, the exit status
noise        how much repetitions move, and the policy that this allows
render       verdicts as text and Markdown
"""

from lightllm_evals.gate.checks import Check, Verdict
from lightllm_evals.gate.comparison import PairedComparison, compare, obstacles
from lightllm_evals.gate.conditions import Condition, hopeless, parse_min_condition
from lightllm_evals.gate.identity import (
    Identity,
    fold_differences,
    score_differences,
    timing_differences,
)
from lightllm_evals.gate.noise import Noise, flip_rate, noise
from lightllm_evals.gate.policy import BenchmarkPolicy, Policy, parse_policy
from lightllm_evals.gate.render import (
    benchmark_lines,
    noise_lines,
    verdict_lines,
    verdict_markdown,
)
from lightllm_evals.gate.scores import RunScores, SampleScores, fold
from lightllm_evals.gate.timing import TimingComparison, compare_timing
from lightllm_evals.gate.verdicts import BenchmarkVerdict, GateResult, GateStatus, judge

__all__ = [
    "BenchmarkPolicy",
    "BenchmarkVerdict",
    "Check",
    "Condition",
    "GateResult",
    "GateStatus",
    "Identity",
    "Noise",
    "PairedComparison",
    "Policy",
    "RunScores",
    "SampleScores",
    "TimingComparison",
    "Verdict",
    "benchmark_lines",
    "compare",
    "compare_timing",
    "flip_rate",
    "fold",
    "fold_differences",
    "hopeless",
    "judge",
    "noise",
    "noise_lines",
    "obstacles",
    "parse_min_condition",
    "parse_policy",
    "score_differences",
    "timing_differences",
    "verdict_lines",
    "verdict_markdown",
]
