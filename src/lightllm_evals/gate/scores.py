"""A run as the gate sees it: the scores of one benchmark, sample by sample."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lightllm_evals.errors import ConfigError
from lightllm_evals.gate.identity import Identity, fold_differences
from lightllm_evals.metrics import Part, aggregate, pass_at_k_estimate
from lightllm_evals.records import Aggregation
from lightllm_evals.stats import Estimate, Unit, score_of, unit_of

_Item = TypeVar("_Item")

LIMITED = ("truncated", "empty", "unextracted")
"""Kinds of suspicious answers that a policy can limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleScores:
    """What was measured of one sample; each sequence has one entry a completion.

    Attributes:
        scores: In the headline metric, more is better: 0 to 1 for shares; mean log-probability
            for a perplexity, minus the bits for bits. A completion without a score has no entry
            anywhere.
        weight: What the sample counts in the headline metric: its words, bytes, instructions.
        group: Subject or passage whose samples succeed and fail together, "" for none.
        output_tokens: Tokens generated.
        latency_s: Request time.
        ttft_s: Time to first token; empty where not measured.
        finish_reasons: "stop", "length" or the server's own word.
        num_empty: Completions without text.
        num_unextracted: Completions in which no answer was found.
        num_failed: Completions that did not pass; None where the scores say so (1 is a pass).
        sample_hash: Of the data set's record, "" where unknown.
        prompt_hash: Of the prompt as sent, "" where unknown.
    """

    scores: tuple[float, ...]
    weight: float = 1.0
    group: str = ""
    output_tokens: tuple[int, ...] = ()
    latency_s: tuple[float, ...] = ()
    ttft_s: tuple[float, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    num_empty: int = 0
    num_unextracted: int = 0
    num_failed: int | None = None
    sample_hash: str = ""
    prompt_hash: str = ""

    @property
    def mean(self) -> float:
        """The mean score of the sample's completions."""
        return sum(self.scores) / len(self.scores)

    @property
    def is_passed(self) -> bool:
        """Whether every completion of the sample passed."""
        return self.mean >= 1 if self.num_failed is None else self.num_failed == 0

    @property
    def num_truncated(self) -> int:
        """Completions that ended at the length limit."""
        return self.finish_reasons.count("length")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScores:
    """One benchmark's scores in one run, or in several runs folded into a baseline.

    Attributes:
        identity: What the scores depend on.
        samples: By sample id; only samples with at least one score.
        planned: Completions to be scored, over all folded runs.
        errors: Completions that could not be measured.
        num_runs: Runs folded into this one; a sample's entries are in the order of the runs.
        metric: Name of the headline metric: "pass@k" or another name for the mean score.
        aggregation: How the headline comes of samples that have groups.
        metrics: Further metrics by name, as the run computed them.
        versions: Versions of harness, server and packages; shown, never compared.
        date: When the (first) run was made, ISO 8601.
        source: Where it comes from, for messages: a file or a run directory.
    """

    identity: Identity
    samples: Mapping[str, SampleScores]
    planned: int
    errors: int = 0
    num_runs: int = 1
    metric: str = "pass@1"
    aggregation: Aggregation = "micro"
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    source: str = ""

    @property
    def scored(self) -> int:
        """Completions with a score."""
        return sum(len(sample.scores) for sample in self.samples.values())

    @property
    def is_complete(self) -> bool:
        """Every planned completion was scored."""
        return self.errors == 0 and self.scored == self.planned

    @property
    def unit(self) -> Unit:
        """What the headline metric's number means."""
        unit = unit_of(self.metric)
        values = (score for sample in self.samples.values() for score in sample.scores)
        return "number" if unit == "share" and any(not 0 <= v <= 1 for v in values) else unit

    def headline(self, ids: Iterable[str] | None = None) -> Estimate:
        """Returns the headline metric, in its own unit, over all samples or those of ``ids``."""
        chosen = self.samples.values() if ids is None else [self.samples[i] for i in ids]
        unit = self.unit
        parts = [
            Part(score_of(s.mean, unit) * s.weight, s.weight, s.group) for s in chosen if s.scores
        ]
        return aggregate(self.metric, parts, self.aggregation)

    def metric_value(self, name: str) -> float | None:
        """Returns a metric's value, None where the run does not have it."""
        if name in self.metrics:
            return self.metrics[name]
        if name in {self.metric, "accuracy", "score"}:
            return self.headline().value
        scores = [sample.scores for sample in self.samples.values()]
        match = re.fullmatch(r"pass@([1-9]\d*)", name)
        if match and all(score in {0, 1} for of_sample in scores for score in of_sample):
            return pass_at_k_estimate(scores, int(match[1])).value
        return None

    def share(self, kind: str) -> float:
        """Returns the share of scored completions that are truncated, empty or unextracted."""
        count = sum(getattr(sample, f"num_{kind}") for sample in self.samples.values())
        return count / self.scored if self.scored else 0.0


def fold(runs: Sequence[RunScores]) -> RunScores:
    """Returns several runs of the same settings as one, so that it shows how samples flip.

    Raises:
        ConfigError: There are no runs, one is incomplete, or two are not repetitions: they
            differ in settings or samples. The message names what differs.
    """
    if not runs:
        raise ConfigError("There are no runs to fold into a baseline; give at least one.")
    first = runs[0]
    for run in runs:
        _check_foldable(first, run)
    samples = {
        sample_id: _joined([run.samples[sample_id] for run in runs]) for sample_id in first.samples
    }
    return dataclasses.replace(
        first,
        samples=samples,
        planned=sum(run.planned for run in runs),
        num_runs=sum(run.num_runs for run in runs),
        metrics=first.metrics if len(runs) == 1 else {},
    )


def _check_foldable(first: RunScores, run: RunScores) -> None:
    name = run.source or run.identity.benchmark
    if not run.is_complete:
        raise ConfigError(
            f"{name} is incomplete: {run.scored} of {run.planned} completions were scored; "
            "finish the run before it becomes a baseline."
        )
    if found := fold_differences(first.identity, run.identity):
        listed = "; ".join(map(str, found))
        raise ConfigError(f"{name} is no repetition of the first run, it differs in {listed}.")
    if differing := sorted(first.samples.keys() ^ run.samples.keys()):
        raise ConfigError(
            f"{name} is no repetition of the first run: {len(differing)} samples such as "
            f"{differing[0]} are in only one of them."
        )


def _joined(parts: Sequence[SampleScores]) -> SampleScores:
    return SampleScores(
        scores=_chained([part.scores for part in parts]),
        weight=sum(part.weight for part in parts) / len(parts),
        group=parts[0].group,
        output_tokens=_chained([part.output_tokens for part in parts]),
        latency_s=_chained([part.latency_s for part in parts]),
        ttft_s=_chained([part.ttft_s for part in parts]),
        finish_reasons=_chained([part.finish_reasons for part in parts]),
        num_empty=sum(part.num_empty for part in parts),
        num_unextracted=sum(part.num_unextracted for part in parts),
        num_failed=_total([part.num_failed for part in parts]),
        sample_hash=parts[0].sample_hash,
        prompt_hash=parts[0].prompt_hash,
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _chained(parts: Sequence[tuple[_Item, ...]]) -> tuple[_Item, ...]:
    return tuple(itertools.chain.from_iterable(parts))
