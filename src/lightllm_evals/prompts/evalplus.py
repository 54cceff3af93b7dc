"""HumanEval+ and MBPP+ prompts, as evalplus's own code generation words them.

Source: https://github.com/evalplus/evalplus, ``evalplus/codegen.py`` and
``evalplus/provider/utility.py``.
"""

from __future__ import annotations

from lightllm_evals.records import Message, Sample

_ENDS = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
# LightLLM takes ten stops at most: "<|endofmask|>" is only InCoder's.
_COMMON = tuple(end for end in _ENDS if end != "<|endofmask|>")
HUMANEVAL_STOPS = (*_COMMON, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
MBPP_STOPS = (*_COMMON, '\n"""', "\nassert")


def completion_prompt(sample: Sample) -> str:
    """Returns the problem without surrounding white space and one newline."""
    return f"{str(sample['prompt']).strip()}\n"


def instruct_turns(sample: Sample) -> tuple[Message, ...]:
    """Returns the problem as one user turn.

    evalplus's prefilled answer is left out: ``/v1/chat/completions`` always opens a new turn.
    """
    text = (
        "Please provide a self-contained Python script that solves the following problem in a "
        f"markdown code block:\n```\n{str(sample['prompt']).strip()}\n```\n"
    )
    return (Message(role="user", content=text),)
