"""What the user asked for, resolved once to a frozen record.

Option values arrive as text (command line and ini file alike); each is checked here, with one
sentence that names the option, what was given and what it takes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Api
from lightllm_evals.shard import parse_shard

CONNECT_TIMEOUT_S = 60.0
START_TIMEOUT_S = 600.0

T = TypeVar("T")


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


# What --lightllm-param may set: how its text is read, and LightLLM's own limits.
_PARAM_READERS: Mapping[str, tuple[Callable[[str], Any], Callable[[Any], bool], str]] = {
    "do_sample": (_flag, lambda value: True, "true or false"),
    "temperature": (float, lambda value: value > 0, "a number above 0 (greedy: leave it out)"),
    "top_p": (float, lambda value: 0 < value <= 1, "a number above 0, up to 1"),
    "top_k": (int, lambda value: value == -1 or value >= 1, "a whole number from 1 on, or -1"),
    "repetition_penalty": (float, lambda value: value >= 1, "a number from 1 on"),
    "presence_penalty": (float, lambda value: value >= 0, "a number from 0 on"),
    "frequency_penalty": (float, lambda value: value >= 0, "a number from 0 on"),
    "max_new_tokens": (int, lambda value: value >= 1, "a whole number from 1 on"),
    "seed": (int, lambda value: True, "a whole number"),
    "add_special_tokens": (_flag, lambda value: True, "true or false"),
}


DEFAULT_MIN_ISOLATION = 2
DEFAULT_PLACE = "default"
LAST_RUN = "last"
NO_BASELINE = "none"

# Which completions are asked for, and of whom: what a run that goes on with another takes over.
_SERVING = ("urls", "model_dir", "python", "server_args", "replicas", "gguf")
_ASKED = ("api", "stream", "variants", "limit", "repeats", "params", "concurrency", "shard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a run; None where the profile or the server decides.

    Attributes:
        urls: Servers to connect to; empty: start one, or the embedded one.
        model_dir: Model for a LightLLM server that we start.
        python: Interpreter that has LightLLM.
        server_args: Launch flags that beat the profile's.
        replicas: Servers to start.
        profile: Name or path of a model profile.
        api: Which of the server's interfaces is used.
        stream: Whether completions are streamed, which measures TTFT and TPOT.
        variants: Form by benchmark name.
        limit: Samples a benchmark, ``math.inf`` for all.
        repeats: Completions a sample, >= 1.
        params: Sampling parameters that beat profile and benchmark.
        concurrency: Requests in flight, over all workers and replicas.
        rate: Requests a second at most; None is no limit.
        request_timeout_s: Deadline of one request.
        retries: Further attempts after a failed one.
        start_timeout_s: How long a server may take to become ready; None is `ready_within_s`.
        gguf: Model file of the embedded server.
        min_isolation: Weakest sandbox level accepted, 0 to 3.
        run_dir: Where results are written.
        minimums: Conditions such as ``humaneval:pass@1>=0.02``.
        data_dir: Folder with mirrored data sets.
        baseline: File or folder of baselines, "none" for no comparison; None looks for one.
        save_baseline: File to save a baseline in, "default" for its default place.
        gate: Policies such as ``humaneval: drop<=2``, later ones win.
        shard: Part of the samples, such as ``3/16``.
        resume: Run to finish, "last" for the latest.
        rescore: Run whose completions are judged again, without a server.
        fresh: Ask again where a completion is stored.
    """

    urls: tuple[str, ...] = ()
    model_dir: str | None = None
    python: str | None = None
    server_args: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    profile: str | None = None
    api: Api | None = None
    stream: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)
    limit: float | None = None
    repeats: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int | None = None
    rate: float | None = None
    request_timeout_s: float = 600.0
    retries: int = 4
    start_timeout_s: float | None = None
    gguf: str | None = None
    min_isolation: int | None = None
    run_dir: str | None = None
    minimums: tuple[str, ...] = ()
    data_dir: str | None = None
    baseline: str | None = None
    save_baseline: str | None = None
    gate: tuple[str, ...] = ()
    shard: str | None = None
    resume: str | None = None
    rescore: str | None = None
    fresh: bool = False

    @property
    def minimum_isolation(self) -> int:
        """The weakest sandbox level that this run accepts."""
        return DEFAULT_MIN_ISOLATION if self.min_isolation is None else self.min_isolation

    @property
    def ready_within_s(self) -> float:
        """How long a server may take to become ready.

        A server that we start has to load a model; one that runs already need only answer.
        """
        if self.start_timeout_s is not None:
            return self.start_timeout_s
        return CONNECT_TIMEOUT_S if self.urls else START_TIMEOUT_S

    @property
    def serving_kind(self) -> str:
        """Where completions come from: "stored", "connected", "started" or "embedded"."""
        if self.rescore:
            return "stored"
        if self.urls:
            return "connected"
        return "started" if self.model_dir else "embedded"


def resolve_settings(raw: Mapping[str, Any]) -> Settings:
    """Returns the settings that option values by name (``request_timeout``, ...) stand for.

    A name that is missing or None means that the option was not given.

    Raises:
        ConfigError: A value cannot be what its option takes.
    """
    values: dict[str, Any] = {}

    def take(name: str, target: str, read: Callable[[Any], Any]) -> None:
        if raw.get(name) not in (None, "", []):
            values[target] = read(raw[name])

    def number(name: str, kind: Callable[[str], T], low: float, what: str) -> Callable[[Any], T]:
        return lambda text: _number(name, text, kind, low, what)

    take("url", "urls", lambda given: tuple(_split(given)))
    take("server_arg", "server_args", lambda given: _pairs("server-arg", given))
    take("replicas", "replicas", number("replicas", int, 1, "a whole number from 1 on"))
    take("api", "api", _api)
    take("stream", "stream", bool)
    take("variant", "variants", lambda given: _pairs("variant", _split(given)))
    take("limit", "limit", _limit)
    take("repeats", "repeats", number("repeats", int, 1, "a whole number from 1 on"))
    take("param", "params", _params)
    take("concurrency", "concurrency", number("concurrency", int, 1, "a whole number from 1 on"))
    take("rate", "rate", number("rate", float, 1e-6, "requests a second, above 0"))
    seconds = "seconds, above 0"
    take("request_timeout", "request_timeout_s", number("request-timeout", float, 1e-6, seconds))
    take("start_timeout", "start_timeout_s", number("start-timeout", float, 1e-6, seconds))
    take("retries", "retries", number("retries", int, 0, "a whole number from 0 on"))
    take("min_isolation", "min_isolation", _isolation)
    take("min", "minimums", tuple)
    take("gate", "gate", tuple)
    take("shard", "shard", lambda text: str(parse_shard(text)))
    take("fresh", "fresh", bool)
    take("save_baseline", "save_baseline", _baseline_file)
    for name in ("baseline", "resume", "rescore"):
        take(name, name, str)
    for name in ("model_dir", "python", "profile", "gguf", "run_dir", "data_dir"):
        take(name, name, str)
    settings = Settings(**values)
    _check_combination(settings)
    return settings


def _check_combination(settings: Settings) -> None:
    if settings.urls and settings.model_dir:
        raise ConfigError(
            "--lightllm-url connects to a server and --lightllm-model-dir starts one; give one."
        )
    if settings.server_args and not settings.model_dir:
        raise ConfigError("--lightllm-server-arg needs --lightllm-model-dir: it is a launch flag.")
    if settings.urls and settings.replicas > 1:
        raise ConfigError(
            "--lightllm-replicas starts servers and --lightllm-url connects to running ones; "
            "give each replica's address with --lightllm-url instead."
        )
    if settings.python and not settings.model_dir:
        raise ConfigError(
            "--lightllm-python needs --lightllm-model-dir: it runs the server that is started."
        )
    if settings.gguf and (settings.urls or settings.model_dir):
        raise ConfigError(
            "--lightllm-gguf is for the embedded server; leave out --lightllm-url and "
            "--lightllm-model-dir, or leave it out."
        )
    if settings.resume and settings.rescore:
        raise ConfigError(
            "--lightllm-resume asks for what is missing and --lightllm-rescore asks for nothing; "
            "give one."
        )
    if settings.fresh and (settings.resume or settings.rescore):
        raise ConfigError(
            "--lightllm-fresh asks for everything again; leave it out to go on with a run."
        )
    if settings.shard and settings.save_baseline:
        raise ConfigError(
            "A shard is no whole run and cannot be saved as a baseline; put the shards together "
            "with `lightllm-evals merge RUN... --save-baseline`."
        )


def settings_data(settings: Settings) -> dict[str, Any]:
    """Returns settings as plain data that ``settings_from_data`` reads."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


def settings_from_data(data: Mapping[str, Any]) -> Settings:
    """Returns the settings in plain data, which may come from another version's run."""
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data.items()
        if name in known
    }
    if values.get("limit") == "all":
        values["limit"] = math.inf
    return Settings(**values)


def continued_settings(
    settings: Settings, earlier: Settings, given: Set[str], profile: str | None
) -> Settings:
    """Returns the settings of a run that goes on with an earlier one.

    Args:
        settings: Its own.
        earlier: Those of the earlier run, taken over where this one says nothing.
        given: Fields of ``Settings`` that were given on the command line.
        profile: The earlier run's profile.
    """
    names = [name for name in _ASKED if name not in given]
    if not given & set(_SERVING) and not settings.rescore:
        names += _SERVING
    taken = {name: getattr(earlier, name) for name in names}
    if "profile" not in given:
        taken["profile"] = earlier.profile or profile
    return dataclasses.replace(settings, **taken)


def _split(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--lightllm-{option} takes NAME=VALUE, not {text!r}.")
        pairs[key.strip()] = value.strip()
    return pairs


def _number(option: str, text: Any, kind: Callable[[str], T], low: float, what: str) -> T:
    try:
        value = kind(str(text))
    except ValueError:
        value = None
    if value is None or not math.isfinite(value) or value < low:  # type: ignore[arg-type,operator]  # T is int or float
        raise ConfigError(f"--lightllm-{option} takes {what}, not {text!r}.")
    return value


def _api(text: str) -> str:
    if text not in get_args(Api):
        raise ConfigError(f"--lightllm-api takes {', '.join(get_args(Api))}, not {text!r}.")
    return text


def _limit(text: Any) -> float:
    if str(text).lower() == "all":
        return math.inf
    return _number("limit", text, int, 1, "a whole number from 1 on, or all")


def _baseline_file(text: str) -> str:
    # The option's value may be left out: then the next argument must not pass for it.
    if text != DEFAULT_PLACE and not text.endswith(".json"):
        raise ConfigError(
            f"--lightllm-save-baseline takes a file that ends in .json, not {text!r}; "
            "put it last, or write --lightllm-save-baseline=default, for the default place."
        )
    return text


def _isolation(text: Any) -> int:
    level = _number("min-isolation", text, int, 0, "a level from 0 to 3")
    if level > 3:
        raise ConfigError(f"--lightllm-min-isolation takes a level from 0 to 3, not {text!r}.")
    return level


def _param(key: str, text: str) -> Any:
    read, is_allowed, what = _PARAM_READERS[key]
    try:
        value = read(text)
    except (ValueError, KeyError):
        value = None
    if value is None or not math.isfinite(value) or not is_allowed(value):
        raise ConfigError(f"--lightllm-param {key} takes {what}, not {text!r}.")
    return value


def _params(given: Any) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key, text in _pairs("param", _split(given)).items():
        if key not in _PARAM_READERS:
            raise ConfigError(
                f"--lightllm-param knows no {key!r}; it takes {', '.join(_PARAM_READERS)}."
            )
        params[key] = _param(key, text)
    # A temperature without do_sample would be ignored by the server, silently.
    if params.keys() & {"temperature", "top_p", "top_k"}:
        params.setdefault("do_sample", True)
    return params
