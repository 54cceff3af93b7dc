"""The fixtures that evals ask for; ``pytest --fixtures evals`` lists them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lightllm_evals.benchmark import LikelihoodVariant, Variant
from lightllm_evals.case_requests import answer_text
from lightllm_evals.errors import HarnessError
from lightllm_evals.pytest_cases import (
    COMPLETION,
    METRICS,
    THOUGHT,
    VERDICT,
    case_of,
    options_of,
    request_of,
)
from lightllm_evals.pytest_options import SETTINGS
from lightllm_evals.records import SCORED, Choice, Completion, Likelihood, Request, Sample
from lightllm_evals.results import MetricValue, RecordMetric

if TYPE_CHECKING:
    from lightllm_evals.sandbox import Sandbox, Verdict


class CompletionSource(Protocol):
    """Where a process gets completions from: its own run, or the controller's."""

    def completion(self, request: Request) -> Completion:
        """Returns the completion of a request, however long it takes."""
        ...  # pragma: no cover


SOURCE = pytest.StashKey[CompletionSource]()


class CaseSandbox:
    """The process's sandbox, as one case sees it: its last verdict is part of the report."""

    def __init__(self, sandbox: Sandbox, item: pytest.Item) -> None:
        self._sandbox = sandbox
        self._item = item

    def __repr__(self) -> str:
        return f"<sandbox {self._sandbox.isolation.name}>"

    def run(self, program: str, tests: str, **options: Any) -> Verdict:
        """Returns the verdict on a program; the options are those of ``Sandbox.run``.

        Raises:
            SandboxError: The sandbox failed; the program has no score.
        """
        verdict = self._sandbox.run(program, tests, **options)
        self._item.stash[VERDICT] = verdict
        return verdict


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> Sample:
    """The sample of this case."""
    case = getattr(request, "param", None)
    if case is None:
        pytest.fail("The fixture `sample` needs a test function under @benchmark(...).")
    found: Sample = case.sample
    return found


@pytest.fixture
def completion(request: pytest.FixtureRequest, sample: Sample) -> Completion:
    """What the model returned for this sample; waits for it if it is still under way.

    Without the thinking, where the profile says how that is marked.
    """
    item: pytest.Item = request.node
    case = case_of(item)
    assert case is not None, sample
    source = item.config.stash.get(SOURCE, None)
    if source is None:
        raise HarnessError("No server was started for this run: completions need one.")
    asked = request_of(item, case)
    found = item.stash[COMPLETION] = source.completion(asked)
    reasoning = options_of(item.config).reasoning
    if reasoning is None or found.finish_reason == SCORED:
        return found
    # What is judged; the record of the run keeps the whole.
    thought = item.stash[THOUGHT] = answer_text(case, asked, found.text, reasoning)
    return replace(found, text=thought.text)


@pytest.fixture
def answer(request: pytest.FixtureRequest, completion: Completion) -> str:
    """What is judged: the completion after the form's own post-processing."""
    case = case_of(request.node)
    assert case is not None, completion
    return case.answer(completion.text)


@pytest.fixture
def form(request: pytest.FixtureRequest, sample: Sample) -> Variant | LikelihoodVariant:
    """The form of the benchmark that is in use, for tests that judge forms differently."""
    case = case_of(request.node)
    assert case is not None, sample
    return case.variant


@pytest.fixture
def choices(request: pytest.FixtureRequest, sample: Sample) -> tuple[Choice, ...]:
    """The texts of this sample whose likelihoods are asked for."""
    case = case_of(request.node)
    assert case is not None, sample
    return case.choices


@pytest.fixture
def likelihoods(completion: Completion) -> tuple[Likelihood, ...]:
    """What the model says about each of the choices, in their order."""
    return completion.likelihoods


@pytest.fixture(scope="session")
def lightllm_sandbox(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    """The sandbox of this process, shared by all its cases."""
    from lightllm_evals.sandbox import Sandbox  # noqa: PLC0415  # only runs that judge code pay

    with Sandbox(min_isolation=pytestconfig.stash[SETTINGS].minimum_isolation) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, lightllm_sandbox: Sandbox) -> CaseSandbox:
    """Runs model-written programs: ``sandbox.run(program, tests, ...)`` returns a verdict."""
    return CaseSandbox(lightllm_sandbox, request.node)


@pytest.fixture
def record_metric(request: pytest.FixtureRequest) -> RecordMetric:
    """Records a metric of this sample: ``record_metric("flexible", 1.0)``.

    With a weight it is a ratio of sums: ``record_metric("instructions", followed, of_how_many)``.
    """
    metrics: dict[str, MetricValue] = {}
    request.node.stash[METRICS] = metrics

    def record(name: str, value: float, weight: float = 1.0) -> None:
        value, weight = float(value), float(weight)
        if not (math.isfinite(value) and math.isfinite(weight) and weight >= 0):
            raise HarnessError(
                f"record_metric({name!r}) got value {value:g} and weight {weight:g}; both must be "
                "finite numbers and the weight not negative."
            )
        metrics[name] = value if weight == 1 else (value, weight)

    return record
