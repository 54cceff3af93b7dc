from __future__ import annotations

import pytest

from lightllm_evals.records import Sample
from lightllm_evals.scoring import humaneval

PROMPT = 'def one():\n    """Returns 1."""\n'
SAMPLE = Sample(id="0", fields={"prompt": PROMPT, "entry_point": "one"})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("    return 1", "    return 1"),
        ("\n    return 1\n", "\n    return 1\n"),
        ("```python\n    return 1\n```\nIt is one.", "    return 1\n"),
        ("```\ndef one():\n    return 1\n```", "def one():\n    return 1\n"),
        ("So:\n```py\n    return 1```\n```py\n    return 2```", "    return 1"),
        ("```python\n    return 1", "```python\n    return 1"),
        ("", ""),
    ],
)
def test_opencompass_takes_the_first_closed_fence_and_keeps_indentation(
    text: str, code: str
) -> None:
    assert humaneval.opencompass_program(SAMPLE, text) == f"{PROMPT}{code}\n"
