"""Scores from log-probabilities that a model gave to choices; natural logarithms throughout.

Sources: lm-evaluation-harness 0.4.13, ``lm_eval/api/task.py`` (``acc``, ``acc_norm``,
``acc_bytes``) and ``lm_eval/tasks/truthfulqa/utils.py`` (``mc2``); OpenCompass's
``PPLInferencer`` (``ppl-full``). Of equal values the first wins, as numpy's argmax has it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from lightllm_evals.records import Choice, Likelihood, Scoring


def best(values: Sequence[float]) -> int:
    """Returns the index of the largest value, the first of several.

    Raises:
        ValueError: There is no value, or one is not a number: a score would be made up.
    """
    if any(math.isnan(value) for value in values):
        raise ValueError(f"A log-probability is not a number: {list(values)}")
    return max(range(len(values)), key=values.__getitem__)


def choice_scores(
    choices: Sequence[Choice],
    likelihoods: Sequence[Likelihood],
    target: int,
    kind: Scoring = "ll",
) -> dict[str, float]:
    """Returns ``acc``, ``acc_norm`` and ``acc_bytes`` of one sample, each 0 or 1.

    ``acc`` takes the largest sum; ``acc_norm`` divides it by the choice's characters,
    ``acc_bytes`` by its UTF-8 bytes, the joining space never counted. A form of the kind
    "ppl-full" has ``acc_ppl`` alone (``ppl_full_score``).
    """
    if kind == "ppl-full":
        return {"acc_ppl": ppl_full_score(likelihoods, target)}
    sums = [likelihood.logprob for likelihood in likelihoods]
    by_measure = {
        "acc": [1] * len(choices),
        "acc_norm": [len(choice.text) for choice in choices],
        "acc_bytes": [len(choice.text.encode()) for choice in choices],
    }
    return {
        name: float(best([_per(s, n) for s, n in zip(sums, lengths, strict=True)]) == target)
        for name, lengths in by_measure.items()
    }


def comparison(choices: Sequence[Choice], likelihoods: Sequence[Likelihood], target: int) -> str:
    """Returns what a failed sample's report shows: each choice, its figures, the right one."""
    lines = ["the likeliest choice is not the right one (marked *):"]
    for index, (choice, found) in enumerate(zip(choices, likelihoods, strict=True)):
        mark = "*" if index == target else " "
        per = _per(found.logprob, len(choice.text))
        lines.append(
            f"{mark} {found.logprob:9.3f} in all, {per:7.3f} a character, "
            f"{found.num_tokens:3d} tokens: {choice.text}"
        )
    return "\n".join(lines)


def _per(logprob: float, length: int) -> float:
    # An empty choice loses, as it does where numpy divides by zero.
    return logprob / length if length else -math.inf


def ppl_full_score(likelihoods: Sequence[Likelihood], target: int) -> float:
    """Returns 1 if the target's text, context included, has the least mean loss a token."""
    means = [likelihood.logprob / likelihood.num_tokens for likelihood in likelihoods]
    return float(best(means) == target)


def of_texts(
    texts: Iterable[str], choices: Sequence[Choice], likelihoods: Sequence[Likelihood]
) -> list[Likelihood]:
    """Returns the likelihoods of the choices with these texts, which are all different."""
    by_text = {c.text: found for c, found in zip(choices, likelihoods, strict=True)}
    return [by_text[text] for text in texts]


def mc1(likelihoods: Sequence[Likelihood]) -> float:
    """Returns 1 if the first answer, the true one, has the largest sum, else 0."""
    return float(best([likelihood.logprob for likelihood in likelihoods]) == 0)


def mc2(likelihoods: Sequence[Likelihood], labels: Sequence[int]) -> float:
    """Returns the share in [0, 1] of the answers' probability that true ones have.

    ``labels`` has 1 for a true answer, 0 for a false one. Computed in log space: where the
    reference's probabilities all underflow it has no value, and this one has.

    Raises:
        ValueError: No answer has a probability above zero.
    """
    logprobs = [likelihood.logprob for likelihood in likelihoods]
    largest = logprobs[best(logprobs)]
    if largest == -math.inf:
        raise ValueError("No answer has a probability above zero.")
    masses = [math.exp(logprob - largest) for logprob in logprobs]
    true = [mass for mass, label in zip(masses, labels, strict=True) if label == 1]
    return math.fsum(true) / math.fsum(masses)


def perplexity(logprobs: Sequence[float]) -> float | None:
    """Returns exp of the mean negative log-probability; None without any (LAMBADA)."""
    if not logprobs:
        return None
    return math.exp(-math.fsum(logprobs) / len(logprobs))


def rolling_perplexities(pages: Sequence[str], logprobs: Sequence[float]) -> dict[str, float]:
    """Returns word and byte perplexity and bits per byte over whole texts; {} without any.

    Words and bytes are those of the original pages, whatever was scored: words are what
    ``re.split`` at white space gives, the empty ones at both ends included.
    """
    if not pages:
        return {}
    total = -math.fsum(logprobs)
    num_words = sum(num_original_words(page) for page in pages)
    num_bytes = sum(len(page.encode()) for page in pages)
    return {
        "word_perplexity": math.exp(total / num_words),
        "byte_perplexity": math.exp(total / num_bytes),
        "bits_per_byte": total / num_bytes / math.log(2),
    }


def num_original_words(page: str) -> int:
    """Returns how many words the reference counts in a page."""
    return len(re.split(r"\s+", page))
