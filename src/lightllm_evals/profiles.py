"""Model profiles: one TOML file says how a model is served and asked.

Every key is checked: a typing error in a profile must never change a score silently.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from lightllm_evals.benchmark import FewshotForm
from lightllm_evals.errors import ConfigError
from lightllm_evals.reasoning import Reasoning
from lightllm_evals.records import Api

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LaunchValue = bool | int | float | str | tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """How the embedded CPU server is run; None where it decides itself.

    Attributes:
        slots: Requests that it batches at most.
        threads: Threads that compute.
        max_req_total_len: Limit on prompt plus output tokens.
        gguf: Model file instead of the default model.
    """

    slots: int | None = None
    threads: int | None = None
    max_req_total_len: int | None = None
    gguf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one model is served and asked; None where the profile has no opinion.

    Attributes:
        name: The file's name without ``.toml``.
        description: One line for the header of a run.
        model_dir: Model folder for a LightLLM server that we start.
        launch: LightLLM's launch flags without dashes; True is a switch that is on, False one
            that is left out, a tuple a flag with several values.
        request: Fields of ``SamplingParams`` that the model needs, without stop texts.
        stop_sequences: Stop texts in addition to the benchmark's.
        api: Which of the server's interfaces is used.
        chat_template: Name of the chat template to render with, instead of the server's.
        bos_token: Text of the BOS token, for the chat template.
        eos_token: Text of the EOS token, for the chat template.
        system_prompt: System turn before every chat that has none.
        fewshot: Whether few-shot examples of a chat are turns of their own, or text in the
            user's; None as the benchmark has them.
        reasoning: How the model marks its thinking; None leaves completions as they are.
        prefix_text: A special token's text that stands before a text which is scored from its
            first token on (WikiText); "" where the tokenizer adds BOS itself.
        variants: Form by benchmark name.
        limit: Samples a benchmark by default, ``math.inf`` for all.
        concurrency: Requests in flight by default.
        embedded: Options of the embedded server.
    """

    name: str
    description: str = ""
    model_dir: str | None = None
    launch: Mapping[str, LaunchValue] = field(default_factory=dict)
    request: Mapping[str, bool | int | float] = field(default_factory=dict)
    stop_sequences: tuple[str, ...] = ()
    api: Api | None = None
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    system_prompt: str = ""
    fewshot: FewshotForm | None = None
    reasoning: Reasoning | None = None
    prefix_text: str = ""
    variants: Mapping[str, str] = field(default_factory=dict)
    limit: float | None = None
    concurrency: int | None = None
    embedded: EmbeddedOptions = field(default_factory=EmbeddedOptions)


def load_profile(path_or_name: str | Path, search: Sequence[Path] = ()) -> Profile:
    """Returns the profile in a file, or the one of that name in the folders ``search``.

    Args:
        path_or_name: A path (it ends in ``.toml`` or has a folder), else a name.
        search: Folders that are looked through for ``<name>.toml``, in order.

    Raises:
        ConfigError: No such profile, not TOML, an unknown key, or a value of the wrong type.
    """
    path = _find(str(path_or_name), search)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"The profile {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The profile {path} is not UTF-8 text: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The profile {path} is not TOML: {error}.") from error
    return _profile(path, data)


def _find(path_or_name: str, search: Sequence[Path]) -> Path:
    path = Path(path_or_name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    for folder in search:
        found = folder / f"{path_or_name}.toml"
        if found.is_file():
            return found
    names = sorted({file.stem for folder in search for file in folder.glob("*.toml")})
    places = ", ".join(str(folder) for folder in search) or "no folder"
    there = f"there are: {', '.join(names)}" if names else "there are none"
    raise ConfigError(
        f"There is no profile {path_or_name!r} in {places}; {there}. "
        "Give one of these or the path of a .toml file."
    )


def _profile(path: Path, data: Mapping[str, Any]) -> Profile:
    checks = _Checks(path)
    values = checks.table("", data, _TOP)
    request = dict(values.pop("request", {}))
    if "reasoning" in values:
        values["reasoning"] = Reasoning(**values["reasoning"])
    return Profile(
        name=path.stem,
        request={key: value for key, value in request.items() if key != "stop_sequences"},
        stop_sequences=request.get("stop_sequences", ()),
        embedded=EmbeddedOptions(**values.pop("embedded", {})),
        **values,
    )


@dataclass(frozen=True, slots=True)
class _Checks:
    """Reads values out of one file; every complaint names the file and the key."""

    path: Path

    def table(self, where: str, data: Any, readers: Mapping[str, _Reader]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.wrong(where, data, "a table")
        values = {}
        for key, value in data.items():
            if key not in readers:
                raise self.unknown(where, key, readers)
            values[key] = readers[key](self, f"{where}.{key}".lstrip("."), value)
        return values

    def unknown(self, where: str, key: str, known: Iterable[str]) -> ConfigError:
        names = list(known)
        near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
        table = f"the table [{where}] of " if where else ""
        hint = f"did you mean {' or '.join(near)}?" if near else f"it takes {', '.join(names)}."
        return ConfigError(f"Unknown key {key!r} in {table}the profile {self.path}; {hint}")

    def wrong(self, key: str, value: Any, wanted: str) -> ConfigError:
        return ConfigError(f"{key} in the profile {self.path} must be {wanted}, not {value!r}.")


_Reader = Callable[[_Checks, str, Any], Any]


def _text(checks: _Checks, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise checks.wrong(key, value, "a text")
    return value


def _switch(checks: _Checks, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise checks.wrong(key, value, "true or false")
    return value


def _is_number(value: Any, *kinds: type) -> bool:
    # TOML's true is an int to Python, and never meant as 1.
    is_kind = isinstance(value, kinds) and not isinstance(value, bool)
    return is_kind and (not isinstance(value, float) or math.isfinite(value))


def _integer(checks: _Checks, key: str, value: Any) -> int:
    if not _is_number(value, int):
        raise checks.wrong(key, value, "a whole number")
    return int(value)


def _number(checks: _Checks, key: str, value: Any) -> float:
    if not _is_number(value, int, float):
        raise checks.wrong(key, value, "a number")
    return float(value)


def _count(checks: _Checks, key: str, value: Any) -> int:
    if not _is_number(value, int) or value < 1:
        raise checks.wrong(key, value, "a whole number from 1 on")
    return int(value)


def _limit(checks: _Checks, key: str, value: Any) -> float:
    if value == "all":
        return math.inf
    if not _is_number(value, int) or value < 1:
        raise checks.wrong(key, value, 'a whole number from 1 on, or "all"')
    return int(value)


def _api(checks: _Checks, key: str, value: Any) -> str:
    if value not in get_args(Api):
        raise checks.wrong(key, value, f"one of {', '.join(get_args(Api))}")
    return str(value)


def _fewshot(checks: _Checks, key: str, value: Any) -> str:
    if value not in get_args(FewshotForm):
        raise checks.wrong(key, value, f"one of {', '.join(get_args(FewshotForm))}")
    return str(value)


def _texts(checks: _Checks, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise checks.wrong(key, value, "a list of texts")
    return tuple(value)


def _variants(checks: _Checks, key: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise checks.wrong(key, value, "a table")
    return {name: _text(checks, f"{key}.{name}", form) for name, form in value.items()}


def _launch(checks: _Checks, key: str, value: Any) -> dict[str, LaunchValue]:
    # Flags differ from version to version: the installed one's own help text judges them later.
    if not isinstance(value, dict):
        raise checks.wrong(key, value, "a table")
    return {name: _launch_value(checks, f"{key}.{name}", item) for name, item in value.items()}


def _launch_value(checks: _Checks, key: str, value: Any) -> LaunchValue:
    items = value if isinstance(value, list) else [value]
    kinds = (str, int, float) if isinstance(value, list) else (str, int, float, bool)
    if not items or not all(isinstance(item, kinds) for item in items):
        raise checks.wrong(key, value, "a text, a number, true, false, or a list of texts")
    return tuple(value) if isinstance(value, list) else value


def _table_of(readers: Mapping[str, _Reader]) -> _Reader:
    return lambda checks, key, value: checks.table(key, value, readers)


_REQUEST: Mapping[str, _Reader] = {
    "max_new_tokens": _count,
    "stop_sequences": _texts,
    "do_sample": _switch,
    "temperature": _number,
    "top_p": _number,
    "top_k": _integer,
    "repetition_penalty": _number,
    "presence_penalty": _number,
    "frequency_penalty": _number,
    "add_special_tokens": _switch,
    "skip_special_tokens": _switch,
    "seed": _integer,
}

_EMBEDDED: Mapping[str, _Reader] = {
    "slots": _count,
    "threads": _count,
    "max_req_total_len": _count,
    "gguf": _text,
}

_REASONING: Mapping[str, _Reader] = {"start": _text, "end": _text, "is_open": _switch}

_TOP: Mapping[str, _Reader] = {
    "description": _text,
    "model_dir": _text,
    "api": _api,
    "chat_template": _text,
    "bos_token": _text,
    "eos_token": _text,
    "system_prompt": _text,
    "fewshot": _fewshot,
    "reasoning": _table_of(_REASONING),
    "prefix_text": _text,
    "limit": _limit,
    "concurrency": _count,
    "launch": _launch,
    "request": _table_of(_REQUEST),
    "variants": _variants,
    "embedded": _table_of(_EMBEDDED),
}
