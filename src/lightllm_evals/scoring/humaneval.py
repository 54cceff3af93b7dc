"""HumanEval completions to programs, assembled as human-eval assembles them.

Source of the assembly and of the tests: https://github.com/openai/human-eval,
``human_eval/execution.py``. A raw completion is never stripped: its first line's indentation
is part of the program.
"""

from __future__ import annotations

import re

from lightllm_evals.records import Sample
from lightllm_evals.scoring import fences

# OpenCompass 0.5.4, ``humaneval_postprocess_v2``: an open fence is none.
_CLOSED_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def reference_program(sample: Sample, text: str) -> str:
    """Returns prompt and completion, joined as they are."""
    return f"{sample['prompt']}{text}\n"


def bigcode_program(sample: Sample, text: str) -> str:
    """Returns the stripped prompt and the completion, joined as they are."""
    return f"{str(sample['prompt']).strip()}{text}\n"


def opencompass_program(sample: Sample, text: str) -> str:
    """Returns prompt and completion, of which the first closed fence counts if there is one.

    OpenCompass strips the code's beginning, and with it the first line's indentation, which its
    own checker repairs; here it is left as it is. A whole function takes the place of the
    prompt's, which is valid with its docstring alone.
    """
    found = _CLOSED_FENCE.search(text)
    return f"{sample['prompt']}{found.group(1) if found else text}\n"


def instruct_program(sample: Sample, text: str) -> str:
    """Returns the program in a chat model's answer.

    The first fenced block that defines the function counts, else the first block, else the
    whole text. A full function is put behind what the prompt has before it (imports, helper
    functions); anything else is taken for the function's body. "" for a text without code.
    """
    if not fences.has_code(text):
        return ""
    blocks = fences.blocks(text) or [text]
    header = re.compile(rf"^(?:async )?def {re.escape(sample['entry_point'])}\b", re.MULTILINE)
    code = next((block for block in blocks if header.search(block)), blocks[0])
    prompt = str(sample["prompt"])
    found = header.search(prompt)
    if header.search(code) and found:
        return f"{prompt[: found.start()]}{code}\n"
    return f"{prompt}{code}\n"


def unit_tests(sample: Sample) -> str:
    """Returns the problem's own tests and the call that runs them."""
    return f"{sample['test']}\ncheck({sample['entry_point']})\n"
