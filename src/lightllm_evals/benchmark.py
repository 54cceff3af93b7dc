"""What an eval module declares: a benchmark, its named forms, its samples.

An eval is a page of pytest::

    @benchmark("humaneval", samples=humaneval, variants={"reference": Variant(...)})
    def test_humaneval(sample, answer, sandbox):
        verdict = sandbox.run(answer, ...)
        assert verdict.passed, verdict

The decorator only attaches the declaration to the function; the plugin finds it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Aggregation, Api, Choice, Message, Sample, Scoring

Prompt = str | Sequence[Message]
FewshotForm = Literal["turns", "text"]
SampleSource = Callable[[], Iterable[Sample]]

_ATTRIBUTE = "__lightllm_benchmark__"

F = TypeVar("F", bound=Callable[..., Any])


def completion_text(sample: Sample, text: str) -> str:
    """Returns the completion as it is: the default where nothing has to be extracted."""
    del sample
    return text


def no_prefix(sample: Sample) -> str:
    """Returns "": the default where prompts share no few-shot text."""
    del sample
    return ""


def no_shots(sample: Sample) -> Sequence[Message]:
    """Returns nothing: the default where a chat has no few-shot examples of its own."""
    del sample
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One named form of a benchmark; its name is part of every score's identity.

    Attributes:
        prompt: Makes a sample's prompt: text, or the turns of a chat.
        max_new_tokens: Tokens to generate at most.
        stop: Texts that end the completion.
        answer: Turns a sample and its completion's text into what is judged.
        prefix: What the prompt shares with other samples' prompts (few-shot text).
        is_chat: The prompt is turns of a chat, rendered by the server's template or the
            profile's.
        shots: Few-shot examples of a chat as turns, user and assistant; they become part of the
            user's turn unless the profile says ``fewshot = "turns"``.
    """

    prompt: Callable[[Sample], Prompt]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    answer: Callable[[Sample, str], str] = completion_text
    prefix: Callable[[Sample], str] = no_prefix
    is_chat: bool = False
    shots: Callable[[Sample], Sequence[Message]] = no_shots


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodVariant:
    """One named form of a benchmark that scores given texts and generates none.

    Attributes:
        choices: Makes a sample's choices, in the data set's order.
        kind: "ll" scores continuations, with the context's tokens taken off the joint
            encoding; "ppl-full" scores context and continuation together; "rolling" cuts one
            long text into windows of the model's length, each token scored once.
        needs_greedy: Whether ``Likelihood.is_greedy`` is asked for.
        prefix: What the contexts share with other samples' contexts (few-shot text).
        metric: Name of this form's headline metric; "" for the benchmark's.
    """

    choices: Callable[[Sample], Sequence[Choice]]
    kind: Scoring = "ll"
    needs_greedy: bool = False
    prefix: Callable[[Sample], str] = no_prefix
    metric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark as its eval module declares it.

    Attributes:
        name: Short lower-case name; options and reports use it.
        samples: Returns the samples in the data set's order; called once a process, at
            collection, and must not need a server.
        variants: Forms by name; the first is the default.
        chat_variant: The form that ``--lightllm-api chat`` selects, if there is one.
        metric: Name of the headline metric of all forms that do not name their own.
        kinds: Markers such as "code" or "math".
        aggregation: "macro" where every group of samples (a subject, a task) weighs the same.
    """

    name: str
    samples: SampleSource
    variants: Mapping[str, Variant | LikelihoodVariant]
    chat_variant: str | None = None
    metric: str = "pass@1"
    kinds: tuple[str, ...] = field(default=())
    aggregation: Aggregation = "micro"

    @property
    def default_variant(self) -> str:
        """The name of the first form."""
        return next(iter(self.variants))

    @property
    def has_likelihoods(self) -> bool:
        """Whether any of the forms scores given texts."""
        return any(isinstance(form, LikelihoodVariant) for form in self.variants.values())

    def variant_name(self, wanted: str | None, api: Api) -> str:
        """Returns the form to use: ``wanted`` if given, else the one that fits ``api``.

        A chat template that we render makes a chat of "generate": ``api`` is "chat" then.

        Raises:
            ConfigError: There is no such form, or it cannot be sent through ``api``.
        """
        name = wanted or self._fitting(api)
        if name not in self.variants:
            raise ConfigError(
                f"{self.name} has no variant {name!r}; it has {', '.join(self.variants)}."
            )
        form = self.variants[name]
        if isinstance(form, Variant) and form.is_chat and api != "chat":
            raise ConfigError(
                f"{self.name}'s variant {name!r} is a chat; add --lightllm-api chat, or a profile "
                "with a chat_template."
            )
        return name

    def _fitting(self, api: Api) -> str:
        if api == "chat" and self.chat_variant:
            return self.chat_variant
        return self.default_variant


def benchmark(
    name: str,
    *,
    samples: SampleSource,
    variants: Mapping[str, Variant | LikelihoodVariant] | None = None,
    prompt: Callable[[Sample], Prompt] | None = None,
    max_new_tokens: int | None = None,
    stop: Sequence[str] = (),
    answer: Callable[[Sample, str], str] = completion_text,
    chat_variant: str | None = None,
    metric: str = "pass@1",
    kinds: Sequence[str] = (),
    aggregation: Aggregation = "micro",
) -> Callable[[F], F]:
    """Returns a decorator that makes a test function a benchmark.

    Give ``variants``, or ``prompt`` and ``max_new_tokens`` for a benchmark with one form.

    Raises:
        ConfigError: Neither or both are given.
    """
    if (variants is None) == (prompt is None or max_new_tokens is None):
        raise ConfigError(
            f"Benchmark {name!r} needs either variants=, or prompt= and max_new_tokens=."
        )
    if variants is None:
        assert prompt is not None and max_new_tokens is not None  # noqa: PT018
        variants = {
            "default": Variant(
                prompt=prompt, max_new_tokens=max_new_tokens, stop=tuple(stop), answer=answer
            )
        }
    declared = Benchmark(
        name=name,
        samples=samples,
        variants=variants,
        chat_variant=chat_variant,
        metric=metric,
        kinds=tuple(kinds),
        aggregation=aggregation,
    )

    def decorate(function: F) -> F:
        setattr(function, _ATTRIBUTE, declared)
        return function

    return decorate


def declared_benchmark(function: object) -> Benchmark | None:
    """Returns the benchmark that a test function declares, None for any other function."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Benchmark) else None
