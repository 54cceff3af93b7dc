"""A case as the request that it needs, and its completion as what is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lightllm_evals.benchmark import FewshotForm, LikelihoodVariant, Variant
from lightllm_evals.cases import Case, CasePlan
from lightllm_evals.errors import ConfigError
from lightllm_evals.fingerprint import code_hash, digest, digest_all, prompt_hash, sample_hash
from lightllm_evals.prompts.chat_template import KNOWN_MARKERS, ChatTemplate, found_marker
from lightllm_evals.prompts.turns import with_shots, with_system
from lightllm_evals.reasoning import Reasoning, Thought, without_thinking
from lightllm_evals.records import Api, Message, Request, Sample, SamplingParams
from lightllm_evals.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What profile and command line add to every request of a run.

    Attributes:
        api: The interface to use for prompts that are not chats.
        params: Sampling parameters that beat the benchmark's.
        extra_stops: Stop texts added to the benchmark's.
        prefix_text: Stands before a text that is scored from its first token on.
        template: Renders chats, instead of the server's; None leaves them to it.
        system_prompt: System turn of chats that have none.
        fewshot: Form of a chat's few-shot examples; None as the benchmark has them.
        reasoning: What marks the thinking in completions; None where nothing does.
    """

    api: Api = "generate"
    params: Mapping[str, Any] = field(default_factory=dict)
    extra_stops: tuple[str, ...] = ()
    prefix_text: str = ""
    template: ChatTemplate | None = None
    system_prompt: str = ""
    fewshot: FewshotForm | None = None
    reasoning: Reasoning | None = None

    @property
    def form_api(self) -> Api:
        """The interface by which a benchmark chooses its form: chats are a template's, too."""
        return "chat" if self.template is not None else self.api


def build_request(case: Case, request_id: str, options: RequestOptions) -> Request:
    """Returns the request that a case needs; the same every time for the same arguments.

    Raises:
        ConfigError: The form's prompt is neither text nor turns.
    """
    variant = case.variant
    if isinstance(variant, LikelihoodVariant):
        return _scoring_request(case, variant, request_id, options)
    prompt = variant.prompt(case.sample)
    # In the thinking a stop text means nothing: it is cut at when that is removed.
    own_stops = () if options.reasoning else variant.stop
    params = replace(
        SamplingParams(
            max_new_tokens=variant.max_new_tokens,
            stop_sequences=tuple(dict.fromkeys((*own_stops, *options.extra_stops))),
        ),
        **options.params,
    )
    request = Request(
        id=request_id,
        params=params,
        prefix=variant.prefix(case.sample),
        repeat=case.repeat,
    )
    if isinstance(prompt, str):
        if options.form_api != "chat":
            return _raw_request(case, request, prompt, options)
        turns: tuple[Message, ...] = (Message(role="user", content=prompt),)
    else:
        turns = _turns(case, prompt)
    turns = with_shots(turns, variant.shots(case.sample), options.fewshot)
    return _chat_request(case, request, with_system(turns, options.system_prompt), options)


def _raw_request(case: Case, request: Request, prompt: str, options: RequestOptions) -> Request:
    if options.system_prompt:
        raise ConfigError(
            f"The prompt of {case.benchmark.name} ({case.variant_name}) is a text, in which the "
            "profile's system_prompt has no place: add api = 'chat' or a chat_template to the "
            "profile, or leave the system prompt out."
        )
    return replace(request, prompt=prompt, api=options.api)


def _chat_request(
    case: Case, request: Request, turns: tuple[Message, ...], options: RequestOptions
) -> Request:
    """Returns a chat for the server's template, or as the text that ours makes of it."""
    template = options.template
    where = f"{case.benchmark.name} ({case.variant_name}), sample {case.sample.id}"
    if template is None:
        for turn in turns:
            if marker := found_marker(turn.content, KNOWN_MARKERS):
                raise ConfigError(
                    f"{where}: a {turn.role} turn already has a chat template's {marker!r}, so "
                    "that the server would apply its own to it again: use --lightllm-api "
                    "generate, or let the prompt be plain text."
                )
        return replace(request, messages=turns, api="chat")
    try:
        prompt = template.render(turns)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    params = request.params
    if template.writes_bos(prompt):
        if options.params.get("add_special_tokens"):
            raise ConfigError(
                f"{where}: the chat template {template.name} writes BOS, and add_special_tokens "
                "= true has the server's tokenizer add another: leave add_special_tokens out of "
                "profile and command line."
            )
        params = replace(params, add_special_tokens=False)
    return replace(request, prompt=prompt, params=params, api=options.api)


def answer_text(case: Case, request: Request, text: str, reasoning: Reasoning) -> Thought:
    """Returns a completion without its thinking, cut at the form's stop texts."""
    is_begun = request.prompt.rstrip().endswith(reasoning.start)
    is_open = is_begun or (reasoning.is_open and request.api == "chat")
    stops = case.variant.stop if isinstance(case.variant, Variant) else ()
    return without_thinking(text, reasoning, is_open=is_open, stops=stops)


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
    # What the first and the last in order share, all in between do.
    first, last = min(texts), max(texts)
    low, high = 0, len(first)
    # Few-shot contexts have thousands of characters: halves are compared, not characters.
    while low < high:
        middle = (low + high + 1) // 2
        if last.startswith(first[:middle]):
            low = middle
        else:
            high = middle - 1
    return first[:low]


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
        "postprocessing": _postprocessing(case.variant, plan.samples, options.reasoning),
        "scorer": code_hash(test),
    }


def _postprocessing(
    variant: Variant | LikelihoodVariant, samples: Sequence[Sample], reasoning: Reasoning | None
) -> str:
    if isinstance(variant, LikelihoodVariant):
        # Scores are divided by the lengths of these texts, which no request shows.
        texts = ([choice.text for choice in variant.choices(sample)] for sample in samples)
        return digest_all(digest(each) for each in texts)
    own = code_hash(variant.answer)
    if reasoning is None:
        return own
    marks = [reasoning.start, reasoning.end, reasoning.is_open]
    return digest([own, code_hash(without_thinking), marks, list(variant.stop)])


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
    template: ChatTemplate | None = None,
    system_prompt: str = "",
    fewshot: FewshotForm | None = None,
    reasoning: Reasoning | None = None,
) -> RequestOptions:
    """Returns the options of a run's requests; the command line beats the profile.

    Raises:
        ConfigError: A chat template of ours would be rendered into one of the server's.
    """
    api = settings.api or profile_api or "generate"
    if template is not None and api == "chat":
        raise ConfigError(
            f"The profile's chat template {template.name} is rendered here, and api 'chat' has "
            "the server apply its own to the result again: use --lightllm-api generate, or a "
            "profile without chat_template."
        )
    return RequestOptions(
        api=api,
        params={**(profile_params or {}), **settings.params},
        extra_stops=extra_stops,
        prefix_text=prefix_text,
        template=template,
        system_prompt=system_prompt,
        fewshot=fewshot,
        reasoning=reasoning,
    )
