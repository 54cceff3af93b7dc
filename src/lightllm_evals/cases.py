"""A benchmark's samples as cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, Variant
from lightllm_evals.errors import ConfigError, DatasetError
from lightllm_evals.records import Api, Choice, Sample
from lightllm_evals.shard import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One completion of one sample, in one form of its benchmark.

    Attributes:
        benchmark: What the eval module declares.
        variant_name: The form in use.
        sample: The sample.
        repeat: 0 for the first completion of the sample.
        id: What stands in brackets in the pytest node id.
    """

    benchmark: Benchmark
    variant_name: str
    sample: Sample
    repeat: int
    id: str

    def __repr__(self) -> str:
        return f"Case({self.benchmark.name}, {self.id})"

    @property
    def variant(self) -> Variant | LikelihoodVariant:
        """The form in use."""
        return self.benchmark.variants[self.variant_name]

    @property
    def metric(self) -> str:
        """Name of the headline metric: the form's own, else the benchmark's."""
        own = self.variant.metric if isinstance(self.variant, LikelihoodVariant) else ""
        return own or self.benchmark.metric

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The texts that are scored.

        Raises:
            ConfigError: The form generates.
        """
        if isinstance(self.variant, Variant):
            raise ConfigError(
                f"{self.benchmark.name} ({self.variant_name}) generates, so it has no choices: "
                "ask for the fixture `answer` or `completion`."
            )
        return tuple(self.variant.choices(self.sample))

    def answer(self, text: str) -> str:
        """Returns what is judged of a completion's text.

        Raises:
            ConfigError: The form generates nothing.
        """
        if not isinstance(self.variant, Variant):
            raise ConfigError(
                f"{self.benchmark.name} ({self.variant_name}) scores choices and generates "
                "nothing: ask for the fixtures `choices` and `likelihoods`."
            )
        return self.variant.answer(self.sample, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What cases need besides a server that completes prompts.

    Attributes:
        sandbox: They judge programs.
        prompt_logprobs: They score given texts.
        benchmarks: Names of the benchmarks that they belong to, sorted.
    """

    sandbox: bool = False
    prompt_logprobs: bool = False
    benchmarks: tuple[str, ...] = ()

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            sandbox=self.sandbox or other.sandbox,
            prompt_logprobs=self.prompt_logprobs or other.prompt_logprobs,
            benchmarks=tuple(sorted({*self.benchmarks, *other.benchmarks})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePlan:
    """The cases of one benchmark, out of all samples that its data set has."""

    cases: tuple[Case, ...]
    variant_name: str
    num_samples: int
    samples: tuple[Sample, ...]

    @property
    def num_samples_total(self) -> int:
        """How many samples the data set has."""
        return len(self.samples)


def plan_cases(
    benchmark: Benchmark,
    *,
    variant: str | None,
    api: Api,
    limit: float,
    repeats: int,
    shard: Shard | None = None,
) -> CasePlan:
    """Returns the cases of a benchmark in the data set's order.

    Of samples with groups (subjects, tasks) ``limit`` takes the first of each group, then the
    second of each, so that a part of a benchmark is not one subject of it. A shard has its part
    of those samples: all shards together are that run.

    Raises:
        ConfigError: There is no such variant.
        DatasetError: The data set has no sample, or two with one id.
    """
    name = benchmark.variant_name(variant, api)
    samples = list(benchmark.samples())
    if not samples:
        raise DatasetError(f"{benchmark.name} has no samples: its source is empty.")
    ids = {sample.id for sample in samples}
    if len(ids) < len(samples):
        raise DatasetError(
            f"{benchmark.name} has {len(samples)} samples but {len(ids)} different ids; "
            "every sample needs its own."
        )
    chosen = _first(samples, limit)
    if shard is not None:
        chosen = [sample for sample in chosen if shard.has(sample.id)]
    return CasePlan(
        cases=tuple(_cases(benchmark, name, chosen, repeats)),
        variant_name=name,
        num_samples=len(chosen),
        samples=tuple(samples),
    )


def _first(samples: Sequence[Sample], limit: float) -> list[Sample]:
    if limit >= len(samples):
        return list(samples)
    seen: Counter[str] = Counter()
    places = []
    for place, sample in enumerate(samples):
        places.append((seen[sample.group], place))
        seen[sample.group] += 1
    return [samples[place] for place in sorted(place for _, place in sorted(places)[: int(limit)])]


def _cases(
    benchmark: Benchmark, variant_name: str, samples: list[Sample], repeats: int
) -> Iterator[Case]:
    for sample in samples:
        for repeat in range(repeats):
            yield Case(
                benchmark=benchmark,
                variant_name=variant_name,
                sample=sample,
                repeat=repeat,
                id=sample.id if repeats == 1 else f"{sample.id}-{repeat}",
            )
