"""HumanEval's prompts and stop texts, form by form.

Reference form: Chen et al., "Evaluating Large Language Models Trained on Code", 2021,
https://arxiv.org/abs/2107.03374; stops as in lm-evaluation-harness, task ``humaneval``,
https://github.com/EleutherAI/lm-evaluation-harness. OpenCompass: ``humaneval_gen_d2537e``.
"""

from __future__ import annotations

from lightllm_evals.records import Message, Sample

REFERENCE_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
# https://github.com/bigcode-project/bigcode-evaluation-harness, bigcode_eval/tasks/humaneval.py
BIGCODE_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")


def reference_prompt(sample: Sample) -> str:
    """Returns the function header and docstring as the data set has them."""
    return str(sample["prompt"])


def bigcode_prompt(sample: Sample) -> str:
    """Returns the header and docstring without surrounding white space.

    Small models answer in prose when the prompt ends in a newline.
    """
    return reference_prompt(sample).strip()


def opencompass_prompt(sample: Sample) -> str:
    """Returns the header and docstring below a line that says what to do."""
    return f"Complete the following python code:\n{sample['prompt']}"


def instruct_turns(sample: Sample) -> tuple[Message, ...]:
    """Returns one user turn, worded as lm-evaluation-harness's ``humaneval_instruct``.

    Its prefilled answer is left out: ``/v1/chat/completions`` always opens a new turn.
    """
    text = (
        "Write a solution to the following problem and make sure that it passes the tests:\n"
        f"```python\n{sample['prompt']}\n```"
    )
    return (Message(role="user", content=text),)
