"""What every form that generates asks for beside its prompt."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from lightllm_evals.benchmark import Variant, declared_benchmark

EVALS = Path(__file__).parents[2] / "evals"

GSM8K = ("Question:", "</s>", "<|im_end|>")
EVALPLUS = ("<|endoftext|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")

# Benchmark and form: new tokens at most, texts that end a completion.
PARAMETERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "bbh-opencompass": (1024, ("Q:",)),
    "bbh-reference": (1024, ("</s>", "Q", "\n\n")),
    "ceval-instruct": (1024, ()),
    "cmmlu-cot": (2048, ()),
    "drop-reference": (256, (".",)),
    "drop-three_shot": (64, ("\n",)),
    "gsm8k-cot": (512, ("Q:", "</s>", "<|im_end|>")),
    "gsm8k-instruct": (512, GSM8K),
    "gsm8k-opencompass": (512, ("Question",)),
    "gsm8k-reference": (512, GSM8K),
    "humaneval-bigcode": (
        1024,
        ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>"),
    ),
    "humaneval-instruct": (1024, ()),
    "humaneval-opencompass": (512, ()),
    "humaneval-reference": (1024, ("\nclass", "\ndef", "\n#", "\nif", "\nprint")),
    "humaneval_plus-evalplus": (
        768,
        (*EVALPLUS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    ),
    "humaneval_plus-instruct": (768, ()),
    "ifeval-chat": (1280, ()),
    "ifeval-raw": (1280, ()),
    "lambada-opencompass": (5, ()),
    "math500-boxed": (2048, ()),
    "math500-minerva": (1024, ("Problem:",)),
    "mbpp-instruct": (1024, ()),
    "mbpp-reference": (512, ("[DONE]",)),
    "mbpp_plus-evalplus": (768, (*EVALPLUS, '\n"""', "\nassert")),
    "mbpp_plus-instruct": (768, ()),
    "mbpp_sanitized-opencompass": (512, ()),
    "mmlu-cot": (2048, ()),
}


def forms() -> Iterator[tuple[str, Variant]]:
    for path in EVALS.glob("test_*.py"):
        spec = importlib.util.spec_from_file_location(f"page_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        page = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(page)
        for function in vars(page).values():
            if benchmark := declared_benchmark(function):
                for name, form in benchmark.variants.items():
                    if isinstance(form, Variant):
                        yield f"{benchmark.name}-{name}", form


def test_lengths_and_stops_are_as_pinned() -> None:
    assert {name: (form.max_new_tokens, form.stop) for name, form in forms()} == PARAMETERS


def test_no_form_has_more_stops_than_lightllm_takes() -> None:
    assert max(len(form.stop) for _, form in forms()) <= 10
