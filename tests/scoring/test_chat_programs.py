"""The program in a chat model's answer, as the three benchmarks of code take it out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.records import Sample
from lightllm_evals.scoring import evalplus, humaneval, mbpp

SAMPLE = Sample(
    id="0",
    fields={
        "entry_point": "f",
        "prompt": 'import math\n\n\ndef f(x):\n    """Doc."""\n',
        "test_list": ["assert f(1) == 1"],
        "code": "def f(x):\n    return x",
    },
)

# Answer, and the program: HumanEval's, which may need the prompt; MBPP's; evalplus's.
ANSWERS = [
    (
        "def f(x):\n    return x",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```py\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "Sure!\n\n```python\ndef f(x):\n    return x\n```\nIt works.",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\ndef f(x):\n    return x",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\nx = 1\n```\nand\n```python\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\ndef f(x):\n    return x\n```\n```python\nprint(f(1))\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\n    return x\n```",
        'import math\n\n\ndef f(x):\n    """Doc."""\n    return x\n',
        "    return x\n",
        "```python\n    return x\n```",
    ),
    (
        "    return x",
        'import math\n\n\ndef f(x):\n    """Doc."""\n    return x\n',
        "    return x\n",
        "    return x",
    ),
    (
        "```python\ndef f(x):\n    return x\n\nprint(f(1))\n```",
        "import math\n\n\ndef f(x):\n    return x\n\nprint(f(1))\n",
        "def f(x):\n    return x\n\nprint(f(1))\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\nfrom math import pi\n\ndef f(x):\n    return x\n```",
        "import math\n\n\nfrom math import pi\n\ndef f(x):\n    return x\n",
        "from math import pi\n\ndef f(x):\n    return x\n",
        "from math import pi\n\ndef f(x):\n    return x\n",
    ),
    (
        "```python\ndef g(x):\n    return x\n\ndef f(x):\n    return g(x)\n```",
        "import math\n\n\ndef g(x):\n    return x\n\ndef f(x):\n    return g(x)\n",
        "def g(x):\n    return x\n\ndef f(x):\n    return g(x)\n",
        "def g(x):\n    return x\n\ndef f(x):\n    return g(x)\n",
    ),
    (
        "~~~python\ndef f(x):\n    return x\n~~~",
        "import math\n\n\n~~~python\ndef f(x):\n    return x\n~~~\n",
        "~~~python\ndef f(x):\n    return x\n~~~\n",
        "def f(x):\n    return x\n",
    ),
    (
        "``` python\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        '```Python title="a.py"\ndef f(x):\n    return x\n```',
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\n\ndef f(x):\n    return x\n\n```",
        "import math\n\n\n\ndef f(x):\n    return x\n\n",
        "\ndef f(x):\n    return x\n\n",
        "def f(x):\n    return x\n",
    ),
    ("```python\n```", 'import math\n\n\ndef f(x):\n    """Doc."""\n\n', "\n", "```python\n```"),
    ("```", "", "", ""),
    ("I do not know.", "", "", ""),
    ("", "", "", ""),
    (
        "Answer: def f(x):\n    return x",
        'import math\n\n\ndef f(x):\n    """Doc."""\nAnswer: def f(x):\n    return x\n',
        "Answer: def f(x):\n    return x\n",
        "Answer: def f(x):\n    return x",
    ),
    (
        "async def f(x):\n    return x",
        "import math\n\n\nasync def f(x):\n    return x\n",
        "async def f(x):\n    return x\n",
        "async def f(x):\n    return x\n",
    ),
    (
        "```python\nasync def f(x):\n    return x\n```",
        "import math\n\n\nasync def f(x):\n    return x\n",
        "async def f(x):\n    return x\n",
        "async def f(x):\n    return x\n",
    ),
    (
        "```python\ndef fg(x):\n    return 1\n```",
        'import math\n\n\ndef f(x):\n    """Doc."""\ndef fg(x):\n    return 1\n',
        "def fg(x):\n    return 1\n",
        "```python\ndef fg(x):\n    return 1\n```",
    ),
    (
        "```python\nclass A:\n    def f(self):\n        pass\n```",
        'import math\n\n\ndef f(x):\n    """Doc."""\nclass A:\n    def f(self):\n        pass\n',
        "class A:\n    def f(self):\n        pass\n",
        "class A:\n    def f(self):\n        pass",
    ),
    (
        "1. First:\n   ```python\n   def f(x):\n       return x\n   ```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\ndef f(x):\n\treturn x\n```",
        "import math\n\n\ndef f(x):\n\treturn x\n",
        "def f(x):\n\treturn x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\r\ndef f(x):\n    return x\r\n```",
        "import math\n\n\ndef f(x):\n    return x\r\n",
        "def f(x):\n    return x\r\n",
        "def f(x):\n    return x\n",
    ),
    (
        "`def f(x):\n    return x`",
        'import math\n\n\ndef f(x):\n    """Doc."""\n`def f(x):\n    return x`\n',
        "`def f(x):\n    return x`\n",
        "`def f(x):\n    return x`",
    ),
    (
        "```bash\npip install x\n```\n```python\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    (
        "def f(x):\n    return x\n\nThis returns x.",
        "import math\n\n\ndef f(x):\n    return x\n\nThis returns x.\n",
        "def f(x):\n    return x\n\nThis returns x.\n",
        "def f(x):\n    return x\n",
    ),
    (
        "```python\ndef fg(x):\n    return 1\n```\n```python\ndef f(x):\n    return x\n```",
        "import math\n\n\ndef f(x):\n    return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    return x\n",
    ),
]


@pytest.mark.parametrize(("text", "of_humaneval", "of_mbpp", "of_evalplus"), ANSWERS)
def test_the_program_is_taken_out_of_tricky_answers(
    text: str, of_humaneval: str, of_mbpp: str, of_evalplus: str
) -> None:
    assert humaneval.instruct_program(SAMPLE, text) == of_humaneval
    assert mbpp.instruct_program(SAMPLE, text) == of_mbpp
    assert evalplus.instruct_program(SAMPLE, text) == of_evalplus


def test_there_are_thirty_tricky_answers() -> None:
    assert len(ANSWERS) >= 30


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for read in (
        humaneval.reference_program,
        humaneval.bigcode_program,
        humaneval.opencompass_program,
        humaneval.instruct_program,
        mbpp.instruct_program,
        evalplus.instruct_program,
        evalplus.completed_program,
    ):
        for begin in "", "```python\n", "def f(x):\n", "    ":
            read(SAMPLE, begin + text)
