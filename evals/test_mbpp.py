"""MBPP: Program Synthesis with Large Language Models.

Jacob Austin, Augustus Odena, Maxwell Nye, Maarten Bosma, Henryk Michalewski et al., 2021.
https://arxiv.org/abs/2108.07732 - https://github.com/google-research/google-research (mbpp)

Short Python functions from one sentence and three asserts: the 500 problems of the full test
split, three shots, and the 257 sanitized ones in OpenCompass's form. A sample passes when its
program passes the asserts; the metric is pass@1. 499 is the full set's ceiling: the asserts of
367 need set-up code that the reference form does not run.
"""

from __future__ import annotations

from lightllm_evals import Sample, Variant, benchmark
from lightllm_evals.datasets import mbpp, mbpp_sanitized
from lightllm_evals.prompts import mbpp as prompts
from lightllm_evals.pytest_fixtures import CaseSandbox
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import mbpp as scoring

TIMEOUT_S = 3.0  # as the reference's code_eval
SANITIZED_TIMEOUT_S = 10.0  # OpenCompass's

VARIANTS = {
    # What Llama 2's 20.8 compares with.
    "reference": Variant(
        prompt=prompts.reference_prompt,
        max_new_tokens=512,
        stop=prompts.STOPS,
        answer=scoring.reference_program,
        prefix=prompts.reference_prefix,
    ),
    # For chat models: --lightllm-api chat selects it.
    "instruct": Variant(
        prompt=prompts.instruct_turns,
        max_new_tokens=1024,
        answer=scoring.instruct_program,
        is_chat=True,
    ),
}
OPENCOMPASS = Variant(
    prompt=prompts.opencompass_prompt,
    max_new_tokens=512,
    answer=scoring.opencompass_program,
    prefix=prompts.opencompass_prefix,
)


@benchmark("mbpp", samples=mbpp, variants=VARIANTS, chat_variant="instruct", kinds=["code"])
def test_mbpp(sample: Sample, answer: str, sandbox: CaseSandbox) -> None:
    """The program passes the problem's three asserts."""
    names = scoring.entry_points(sample)
    tests = scoring.unit_tests(sample)
    program = found_answer(answer, "of a program")
    verdict = sandbox.run(program, tests, entry_points=names, timeout_s=TIMEOUT_S)
    assert verdict.passed, str(verdict)


@benchmark(
    "mbpp_sanitized",
    samples=mbpp_sanitized,
    variants={"opencompass": OPENCOMPASS},
    kinds=["code"],
)
def test_mbpp_sanitized(sample: Sample, answer: str, sandbox: CaseSandbox) -> None:
    """The program passes the problem's asserts."""
    names = scoring.entry_points(sample)
    tests = scoring.unit_tests(sample)
    program = found_answer(answer, "of a program")
    verdict = sandbox.run(program, tests, entry_points=names, timeout_s=SANITIZED_TIMEOUT_S)
    assert verdict.passed, str(verdict)
