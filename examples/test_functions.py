"""Functions: programs, two forms, and a metric of its own."""

from lightllm_evals import Message, Sample, Variant, benchmark
from lightllm_evals.scoring.fences import first_block

TASKS = {
    "double": ("Return twice x.", "assert double(4) == 8"),
    "is_even": ("Return whether x is even.", "assert is_even(4) and not is_even(5)"),
    "digits": ("Return the digits of x as a list.", "assert digits(205) == [2, 0, 5]"),
}


def tasks():
    for name, (text, tests) in TASKS.items():
        yield Sample(id=name, fields={"name": name, "text": text, "tests": tests})


def header(sample):
    return f'def {sample["name"]}(x):\n    """{sample["text"]}"""\n'


def turns(sample):
    return [Message(role="user", content=f"Complete this function:\n\n{header(sample)}")]


VARIANTS = {
    # The completion goes on where the prompt ends.
    "raw": Variant(
        prompt=header,
        max_new_tokens=128,
        stop=("\ndef", "\nclass"),
        answer=lambda sample, text: header(sample) + text,
    ),
    # A chat model answers with a whole function in a code block.
    "chat": Variant(
        prompt=turns,
        max_new_tokens=256,
        answer=lambda sample, text: first_block(text),
        is_chat=True,
    ),
}


@benchmark("functions", samples=tasks, variants=VARIANTS, chat_variant="chat", kinds=["code"])
def test_functions(sample, answer, sandbox, record_metric):
    record_metric("has_docstring", '"""' in answer)
    verdict = sandbox.run(answer, sample["tests"], entry_points=[sample["name"]], timeout_s=3.0)
    assert verdict.passed, str(verdict)
