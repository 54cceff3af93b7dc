"""A benchmark's samples as cases, and a case as the request that it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, Variant
from lightllm_evals.errors import ConfigError, DatasetError
from lightllm_evals.fingerprint import code_hash, digest, digest_all, prompt_hash, sample_hash
from lightllm_evals.records import Api, Choice, Message, Request, Sample, SamplingParams
from lightllm_evals.settings import Settings
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
    """

    sandbox: bool = False
    prompt_logprobs: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            sandbox=self.sandbox or other.sandbox,
            prompt_logprobs=self.prompt_logprobs or other.prompt_logprobs,
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

    A shard has its part of the first ``limit`` samples: all shards together are that run.

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
    chosen = samples if math.isinf(limit) else samples[: int(limit)]
    if shard is not None:
        chosen = [sample for sample in chosen if shard.has(sample.id)]
    return CasePlan(
        cases=tuple(_cases(benchmark, name, chosen, repeats)),
        variant_name=name,
        num_samples=len(chosen),
        samples=tuple(samples),
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What profile and command line add to every request of a run.

    Attributes:
        api: The interface to use for prompts that are not chats.
        params: Sampling parameters that beat the benchmark's.
        extra_stops: Stop texts added to the benchmark's.
        prefix_text: Stands before a text that is scored from its first token on.
    """

    api: Api = "generate"
    params: Mapping[str, Any] = field(default_factory=dict)
    extra_stops: tuple[str, ...] = ()
    prefix_text: str = ""


def build_request(case: Case, request_id: str, options: RequestOptions) -> Request:
    """Returns the request that a case needs; the same every time for the same arguments.

    Raises:
        ConfigError: The form's prompt is neither text nor turns.
    """
    variant = case.variant
    if isinstance(variant, LikelihoodVariant):
        return _scoring_request(case, variant, request_id, options)
    prompt = variant.prompt(case.sample)
    params = replace(
        SamplingParams(
            max_new_tokens=variant.max_new_tokens,
            stop_sequences=tuple(dict.fromkeys((*variant.stop, *options.extra_stops))),
        ),
        **options.params,
    )
    request = Request(
        id=request_id,
        params=params,
        prefix=variant.prefix(case.sample),
        repeat=case.repeat,
    )
    if not isinstance(prompt, str):
        return replace(request, messages=_turns(case, prompt), api="chat")
    if options.api == "chat":
        return replace(request, messages=(Message(role="user", content=prompt),), api="chat")
    return replace(request, prompt=prompt, api=options.api)


def _scoring_request(
    case: Case, variant: LikelihoodVariant, request_id: str, options: RequestOptions
) -> Request:
    choices = case.choices
    if not choices:
        raise ConfigError(f"{case.benchmark.name} has no choice for sample {case.sample.id}.")
    if variant.kind == "rolling":
        choices = tuple(replace(choice, context=options.prefix_text) for choice in choices)
    shared = _shared_start([choice.context for choice in choices])
    # Few-shot contexts are long: what the choices share travels once.
    rests = (replace(choice, context=choice.context[len(shared) :]) for choice in choices)
    bos = options.params.get("add_special_tokens", True)
    return Request(
        id=request_id,
        params=SamplingParams(max_new_tokens=1, add_special_tokens=bos),
        prompt=shared,
        prefix=variant.prefix(case.sample),
        repeat=case.repeat,
        choices=tuple(rests),
        scoring=variant.kind,
        needs_greedy=variant.needs_greedy,
    )


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    # What the first and the last in order share, all in between do.
    differences = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(differences, len(first))]


def benchmark_fingerprint(
    plan: CasePlan, case: Case, options: RequestOptions, test: Callable[..., Any]
) -> dict[str, str]:
    """Returns the hashes of all that a benchmark's scores depend on, whatever part of it is run.

    Args:
        plan: The benchmark's plan.
        case: Any of its cases.
        options: What is added to every request.
        test: The function that judges an answer.
    """
    requests = (build_request(replace(case, sample=s), "", options) for s in plan.samples)
    return {
        "dataset": digest_all(sample_hash(sample) for sample in plan.samples),
        "prompt": digest_all(prompt_hash(request) for request in requests),
        "postprocessing": _postprocessing(case.variant, plan.samples),
        "scorer": code_hash(test),
    }


def _postprocessing(variant: Variant | LikelihoodVariant, samples: Sequence[Sample]) -> str:
    if isinstance(variant, Variant):
        return code_hash(variant.answer)
    # Scores are divided by the lengths of these texts, which no request shows.
    texts = ([choice.text for choice in variant.choices(sample)] for sample in samples)
    return digest_all(digest(each) for each in texts)


def _turns(case: Case, prompt: Any) -> tuple[Message, ...]:
    turns = tuple(prompt)
    if not turns or not all(isinstance(turn, Message) for turn in turns):
        raise ConfigError(
            f"The prompt of {case.benchmark.name} ({case.variant_name}) must be text or a "
            f"sequence of Message, not {type(prompt).__name__}."
        )
    return turns


def request_options(
    settings: Settings,
    *,
    profile_api: Api | None = None,
    profile_params: Mapping[str, Any] | None = None,
    extra_stops: tuple[str, ...] = (),
    prefix_text: str = "",
) -> RequestOptions:
    """Returns the options of a run's requests; the command line beats the profile."""
    return RequestOptions(
        api=settings.api or profile_api or "generate",
        params={**(profile_params or {}), **settings.params},
        extra_stops=extra_stops,
        prefix_text=prefix_text,
    )
