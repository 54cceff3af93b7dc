"""From declared benchmarks to pytest cases."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import lightllm_evals
from lightllm_evals.benchmark import Benchmark, LikelihoodVariant, declared_benchmark
from lightllm_evals.case_requests import (
    RequestOptions,
    benchmark_fingerprint,
    build_request,
    request_options,
)
from lightllm_evals.cases import Case, CasePlan, Needs, plan_cases
from lightllm_evals.chat_templates import load_chat_template
from lightllm_evals.errors import ConfigError, DatasetError, DatasetMissingError, HarnessError
from lightllm_evals.fingerprint import prompt_hash, sample_hash
from lightllm_evals.profiles import Profile, load_profile
from lightllm_evals.prompts.chat_template import ChatTemplate
from lightllm_evals.pytest_options import SETTINGS
from lightllm_evals.reasoning import Thought
from lightllm_evals.records import Completion, Request
from lightllm_evals.results import MetricValue, PlannedCase
from lightllm_evals.shard import parse_shard

_PROFILE = pytest.StashKey[Profile | None]()
_REFUSAL = pytest.StashKey[str]()
_OPTIONS = pytest.StashKey[RequestOptions]()
_PLANS = pytest.StashKey[dict[str, CasePlan]]()
_FINGERPRINTS = pytest.StashKey[dict[str, dict[str, str]]]()

# What a case leaves on its item for its reports.
COMPLETION = pytest.StashKey[Completion]()
THOUGHT = pytest.StashKey[Thought]()
VERDICT = pytest.StashKey[Any]()
METRICS = pytest.StashKey[Mapping[str, MetricValue]]()
CASE_KINDS = (
    "code",
    "math",
    "knowledge",
    "reasoning",
    "commonsense",
    "instruction",
    "language",
    "zh",
    "likelihood",
)

EMPTY_SHARD = "no-sample-in-shard"
"""Id of the skipped test that stands for a benchmark of which a shard has no sample."""

_PARAMETER = "sample"


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Makes every sample of a declared benchmark a case; leaves other functions alone."""
    benchmark = declared_benchmark(metafunc.function)
    if benchmark is None or _PARAMETER not in metafunc.fixturenames:
        return
    config = metafunc.config
    settings, profile = config.stash[SETTINGS], profile_of(config)
    variants = {**(profile.variants if profile else {}), **settings.variants}
    try:
        plan = plan_cases(
            benchmark,
            variant=variants.get(benchmark.name),
            api=options_of(config).form_api,
            limit=_limit(metafunc),
            repeats=settings.repeats,
            shard=parse_shard(settings.shard) if settings.shard else None,
        )
        if settings.shard and not plan.cases:
            reason = f"shard {settings.shard} has no sample of {benchmark.name}"
            _skip(metafunc, benchmark, reason, [EMPTY_SHARD])
            return
        _check_named(metafunc, [case.id for case in plan.cases])
        for case in plan.cases[:1]:
            # Few-shot text may come from a data set, too.
            case.variant.prefix(case.sample)
        for case in plan.cases[:1]:
            # What the profile asks for may be impossible with this form: said at once.
            build_request(case, "", options_of(config))
    except DatasetMissingError as error:
        # Whoever names a sample is told the reason, not that there is no such sample.
        _skip(metafunc, benchmark, str(error), _named_samples(metafunc) or ["data-missing"])
        return
    except DatasetError as error:
        raise pytest.Collector.CollectError(str(error)) from error
    except HarnessError as error:
        # pytest would show it as an error of the module, with a traceback.
        config.stash[_REFUSAL] = str(error)
        raise pytest.UsageError(str(error)) from error
    config.stash.setdefault(_PLANS, {})[benchmark.name] = plan
    metafunc.parametrize(
        _PARAMETER, plan.cases, ids=[case.id for case in plan.cases], indirect=True
    )


def _skip(
    metafunc: pytest.Metafunc, benchmark: Benchmark, reason: str, ids: Sequence[str]
) -> None:
    """Leaves skipped tests in the place of a benchmark's cases: not everybody has all data."""
    names = [*benchmark.kinds, *(["likelihood"] if benchmark.has_likelihoods else [])]
    marks = [getattr(pytest.mark, name) for name in names]
    metafunc.parametrize(
        _PARAMETER,
        [pytest.param(None, id=id_, marks=[pytest.mark.skip(reason), *marks]) for id_ in ids],
        indirect=True,
    )


def refusal(config: pytest.Config) -> str:
    """Returns why the options make no sense for a benchmark that was collected, "" if they do."""
    return config.stash.get(_REFUSAL, "")


def _check_named(metafunc: pytest.Metafunc, ids: Sequence[str]) -> None:
    for wanted in _named_samples(metafunc):
        if wanted not in ids:
            close = [each for each in ids if each.startswith(wanted)][:3]
            close = close or difflib.get_close_matches(wanted, ids) or [*ids[:1], *ids[-1:]]
            raise ConfigError(
                f"{metafunc.definition.nodeid} has no sample {wanted!r} among the {len(ids)} of "
                f"this run; it has, for example, {', '.join(close)}."
            )


def _named_samples(metafunc: pytest.Metafunc) -> list[str]:
    """Returns the ids in arguments such as ``evals/test_x.py::test_x[id]``."""
    config, definition = metafunc.config, metafunc.definition
    named = []
    for arg in config.args:
        path, _, rest = arg.partition("::")
        name, bracket, sample = rest.partition("[")
        if not bracket or name.rpartition("::")[2] != metafunc.function.__name__:
            continue
        if (config.invocation_params.dir / path).resolve() == definition.path.resolve():
            named.append(sample.removesuffix("]"))
    return named


def _limit(metafunc: pytest.Metafunc) -> float:
    # Who names a sample means that sample, not the first few.
    if _named_samples(metafunc):
        return math.inf
    config = metafunc.config
    settings, profile = config.stash[SETTINGS], profile_of(config)
    by_profile = profile.limit if profile and profile.limit is not None else math.inf
    return by_profile if settings.limit is None else settings.limit


def profile_of(config: pytest.Config) -> Profile | None:
    """Returns the model profile of this run: the one named, or the embedded server's.

    Raises:
        pytest.UsageError: It does not exist or is malformed.
    """
    if _PROFILE not in config.stash:
        settings = config.stash[SETTINGS]
        name = settings.profile
        if name is None and settings.serving_kind == "embedded":
            name = "embedded"
        try:
            config.stash[_PROFILE] = (
                load_profile(name, fixture_folders(config, "profiles")) if name else None
            )
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_PROFILE]


def fixture_folders(config: pytest.Config, name: str) -> list[Path]:
    """Returns where such data is looked for: the project's own, then what we ship."""
    package = Path(lightllm_evals.__file__).parent
    # In the wheel they lie inside the package, in a checkout beside ``src``.
    roots = [config.rootpath / "fixtures", package / "fixtures", package.parents[1] / "fixtures"]
    return [root / name for root in dict.fromkeys(roots) if (root / name).is_dir()]


def mark_kinds(item: pytest.Item) -> None:
    """Gives a case its benchmark's markers, for ``-m``."""
    case = case_of(item)
    if case is None:
        return
    for kind in case.benchmark.kinds:
        item.add_marker(kind)
    if isinstance(case.variant, LikelihoodVariant):
        item.add_marker("likelihood")


def case_of(item: pytest.Item) -> Case | None:
    """Returns the case that an item stands for, None for any other test."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get(_PARAMETER) if callspec else None
    return case if isinstance(case, Case) else None


def without_data(item: pytest.Item) -> str:
    """Returns the benchmark whose place an item holds because its data are missing, or ""."""
    benchmark = declared_benchmark(getattr(item, "function", None))
    callspec = getattr(item, "callspec", None)
    is_place = callspec is not None and callspec.params.get(_PARAMETER, item) is None
    is_empty_shard = item.nodeid.endswith(f"[{EMPTY_SHARD}]")
    return benchmark.name if benchmark and is_place and not is_empty_shard else ""


def needs_of(items: Iterable[pytest.Item]) -> Needs:
    """Returns what the cases among tests need besides a server that completes prompts."""
    needs = Needs()
    for item in items:
        if (case := case_of(item)) is not None:
            needs |= Needs(
                sandbox="sandbox" in getattr(item, "fixturenames", ()),
                prompt_logprobs=isinstance(case.variant, LikelihoodVariant),
                benchmarks=(case.benchmark.name,),
            )
    return needs


def options_of(config: pytest.Config) -> RequestOptions:
    """Returns what profile and command line add to every request.

    Raises:
        ConfigError: They contradict each other, or the chat template cannot be had.
    """
    if _OPTIONS not in config.stash:
        profile = profile_of(config) or Profile(name="")
        config.stash[_OPTIONS] = request_options(
            config.stash[SETTINGS],
            profile_api=profile.api,
            profile_params=profile.request,
            extra_stops=profile.stop_sequences,
            prefix_text=profile.prefix_text,
            template=_template(config, profile),
            system_prompt=profile.system_prompt,
            fewshot=profile.fewshot,
            reasoning=profile.reasoning,
        )
    return config.stash[_OPTIONS]


def _template(config: pytest.Config, profile: Profile) -> ChatTemplate | None:
    if profile.chat_template is None:
        return None
    return load_chat_template(
        profile.chat_template,
        fixture_folders(config, "chat_templates"),
        bos_token=profile.bos_token,
        eos_token=profile.eos_token,
    )


def request_of(item: pytest.Item, case: Case) -> Request:
    """Returns the request of a case; its id is the node id."""
    return build_request(case, item.nodeid, options_of(item.config))


def planned_case(item: pytest.Item, case: Case) -> PlannedCase:
    """Returns what the owner of the run has to know about a case."""
    plan = item.config.stash[_PLANS][case.benchmark.name]
    request = request_of(item, case)
    return PlannedCase(
        nodeid=item.nodeid,
        benchmark=case.benchmark.name,
        variant=case.variant_name,
        metric=case.metric,
        sample=case.sample.id,
        repeat=case.repeat,
        group=case.sample.group,
        aggregation=case.benchmark.aggregation,
        num_samples_total=plan.num_samples_total,
        request=request,
        sample_hash=sample_hash(case.sample),
        prompt_hash=prompt_hash(request),
        fingerprint=_fingerprint(item, case, plan),
    )


def _fingerprint(item: pytest.Item, case: Case, plan: CasePlan) -> dict[str, str]:
    known = item.config.stash.setdefault(_FINGERPRINTS, {})
    if case.benchmark.name not in known:
        known[case.benchmark.name] = benchmark_fingerprint(
            plan,
            case,
            options_of(item.config),
            item.function,  # type: ignore[attr-defined]  # a case is a function's
        )
    return known[case.benchmark.name]
