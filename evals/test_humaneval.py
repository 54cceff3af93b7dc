"""HumanEval: Evaluating Large Language Models Trained on Code.

Mark Chen, Jerry Tworek, Heewoo Jun, Qiming Yuan et al., 2021.
https://arxiv.org/abs/2107.03374 - problems and reference scorer: https://github.com/openai/human-eval

164 hand-written Python functions to complete from header and docstring. A sample passes when
its program passes the problem's unit tests within 3.0 s; the metric is unbiased pass@k.
"""

from __future__ import annotations

from lightllm_evals import Sample, Variant, benchmark
from lightllm_evals.datasets import humaneval
from lightllm_evals.prompts import humaneval as prompts
from lightllm_evals.pytest_fixtures import CaseSandbox
from lightllm_evals.scoring import found_answer
from lightllm_evals.scoring import humaneval as scoring

TIMEOUT_S = 3.0  # human-eval's own limit

VARIANTS = {
    # What the Llama 2 paper's 12.8 compares with.
    "reference": Variant(
        prompt=prompts.reference_prompt,
        max_new_tokens=1024,
        stop=prompts.REFERENCE_STOPS,
        answer=scoring.reference_program,
    ),
    # For small models, which answer a trailing newline in prose.
    "bigcode": Variant(
        prompt=prompts.bigcode_prompt,
        max_new_tokens=1024,
        stop=prompts.BIGCODE_STOPS,
        answer=scoring.bigcode_program,
    ),
    # What Llama-2-7B's 14.02 on OpenCompass's leaderboard compares with. Without stops: a model
    # that writes on until its tokens are spent often leaves a last line that does not parse.
    "opencompass": Variant(
        prompt=prompts.opencompass_prompt,
        max_new_tokens=512,
        answer=scoring.opencompass_program,
    ),
    # For chat models: --lightllm-api chat selects it.
    "instruct": Variant(
        prompt=prompts.instruct_turns,
        max_new_tokens=1024,
        answer=scoring.instruct_program,
        is_chat=True,
    ),
}


@benchmark(
    "humaneval", samples=humaneval, variants=VARIANTS, chat_variant="instruct", kinds=["code"]
)
def test_humaneval(sample: Sample, answer: str, sandbox: CaseSandbox) -> None:
    """The program passes the problem's unit tests."""
    verdict = sandbox.run(
        found_answer(answer, "of a program"),
        scoring.unit_tests(sample),
        entry_points=[sample["entry_point"]],
        prelude=sample["prompt"],
        timeout_s=TIMEOUT_S,
    )
    assert verdict.passed, str(verdict)
