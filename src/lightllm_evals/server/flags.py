"""Fits launch flags to the installed version of LightLLM, by that version's own help text.

LightLLM's argument parser ends with status 2 at a flag that it does not know, and flags come and
go. Flags are kept by name, without dashes: True is a switch that is on, False one that is left
out, a tuple a flag with several values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lightllm_evals.errors import ConfigError

FlagValue = bool | int | float | str | tuple[str | int | float, ...]
FlagKind = Literal["switch", "value", "values"]

# Python before 3.10 has the longer heading.
_HEADING = re.compile(r"^(?:options|optional arguments):$", re.MULTILINE)
# An option's line is indented by two, its explanation by far more; two blanks end the option.
_OPTION = re.compile(r"^ {1,4}(?P<option>-{1,2}\w.*?)(?: {2,}.*)?$")
_NAME = re.compile(r"--(?P<name>[A-Za-z][\w-]*)")

# The default of that flag in the generation of 2025.
_CHUNKED_PREFILL_SIZE_A = 4096

# Why flags went, for those that users meet in tutorials.
_GONE = {
    "max_req_input_len": "max_req_total_len limits prompt and output together",
    "mode": "kernels are chosen by the server itself",
    "long_truncation_mode": "a prompt that is too long is refused",
    "enable_multimodal": "multimodal models are recognised by themselves",
    "enable_multimodal_audio": "multimodal models are recognised by themselves",
}

# Quantized KV caches that are the same thing under both generations' names.
_KV_TYPES = {"triton_int8kv": "int8kv", "ppl_int8kv": "int8kv"}

# Without these two, a 2025 server with prompt log-probabilities ends with an assertion.
_PROMPT_LOGPROBS_NEEDS = ("disable_dynamic_prompt_cache", "disable_chunked_prefill")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFlags:
    """Flags that the installed version takes.

    Attributes:
        flags: By name, in the order in which they were asked for.
        warnings: A sentence for everything that was changed or left out.
    """

    flags: Mapping[str, FlagValue]
    warnings: tuple[str, ...]


def parse_help(text: str) -> dict[str, FlagKind]:
    """Returns the flags that argparse's help text lists, by name without dashes."""
    flags: dict[str, FlagKind] = {}
    _, *options = _HEADING.split(text, maxsplit=1)
    for line in "".join(options).splitlines():
        found = _OPTION.match(line)
        if found:
            option = found["option"]
            kind = _kind(option)
            flags.update(dict.fromkeys(_NAME.findall(option), kind))
    return flags


def _kind(option: str) -> FlagKind:
    # Three forms: several values (X [X ...]), one value (X), none; aliases come before the last.
    if "..." in option:
        return "values"
    _, _, last = option.rpartition("--")
    return "value" if " " in last.strip() else "switch"


def is_generation_a(known: Mapping[str, FlagKind]) -> bool:
    """Returns whether a version is older than July 2026, when this flag was renamed."""
    return "enable_prompt_logprobs" not in known


def fit_flags(wanted: Mapping[str, FlagValue], known: Mapping[str, FlagKind]) -> FittedFlags:
    """Returns the flags translated to, or left out for, a version that knows ``known``.

    Raises:
        ConfigError: A switch was given a value, or a flag with a value none.
    """
    fitting = _Fitting(wanted, known)
    fitting.translate_prompt_logprobs()
    fitting.translate_kv_type()
    fitting.drop_unknown()
    fitting.complete_prompt_logprobs()
    fitting.shrink_prefill_chunks()
    flags = {name: _checked(name, value, known[name]) for name, value in fitting.flags.items()}
    return FittedFlags(flags=flags, warnings=tuple(fitting.warnings))


class _Fitting:
    """Flags on their way from what was asked for to what the version takes."""

    def __init__(self, wanted: Mapping[str, FlagValue], known: Mapping[str, FlagKind]) -> None:
        self.flags = {name.lstrip("-").replace("-", "_"): v for name, v in wanted.items()}
        self.warnings: list[str] = []
        self._known = known

    def translate_prompt_logprobs(self) -> None:
        names = ("return_all_prompt_logprobs", "enable_prompt_logprobs")
        for old, new in (names, names[::-1]):
            if old in self.flags and old not in self._known and new in self._known:
                self._rename(old, new, self.flags[old])

    def translate_kv_type(self) -> None:
        modes = self.flags.get("mode")
        if modes is not None and "mode" not in self._known and "llm_kv_type" in self._known:
            words = modes if isinstance(modes, tuple) else str(modes).split()
            for name in [_KV_TYPES[str(word)] for word in words if str(word) in _KV_TYPES][:1]:
                self._rename("mode", "llm_kv_type", name)
        kv_type = self.flags.get("llm_kv_type")
        if "llm_kv_type" not in self._known and "mode" in self._known:
            for mode in [mode for mode, name in _KV_TYPES.items() if name == kv_type][:1]:
                self._rename("llm_kv_type", "mode", mode)

    def drop_unknown(self) -> None:
        for name in [name for name in self.flags if name not in self._known]:
            del self.flags[name]
            self.warnings.append(
                f"This LightLLM does not know --{name}, which is left out: {self._reason(name)}."
            )

    def complete_prompt_logprobs(self) -> None:
        if not _is_on(self.flags.get("return_all_prompt_logprobs")):
            return
        for name in _PROMPT_LOGPROBS_NEEDS:
            # Versions of early 2025 do not know the two, and have off what they switch off.
            if name in self._known and not _is_on(self.flags.get(name)):
                self.flags[name] = True
                self.warnings.append(
                    f"--{name} is added, which --return_all_prompt_logprobs needs."
                )

    def shrink_prefill_chunks(self) -> None:
        """Lowers the size of prefill chunks to the longest request, which 2025 insists on."""
        total = self.flags.get("max_req_total_len")
        if (
            total is None
            or not is_generation_a(self._known)
            or "chunked_prefill_size" not in self._known
            or _is_on(self.flags.get("disable_chunked_prefill"))
        ):
            return
        chunk = self.flags.get("chunked_prefill_size", _CHUNKED_PREFILL_SIZE_A)
        if _whole("max_req_total_len", total) < _whole("chunked_prefill_size", chunk):
            self.flags["chunked_prefill_size"] = total
            self.warnings.append(
                f"--chunked_prefill_size is {total} instead of {chunk}: this LightLLM does not "
                f"start with one above --max_req_total_len {total}."
            )

    def _rename(self, old: str, new: str, value: FlagValue) -> None:
        del self.flags[old]
        self.flags.setdefault(new, value)
        text = "" if isinstance(value, bool) else f" {value}"
        self.warnings.append(f"This LightLLM calls --{old} --{new}{text}, which is used.")

    def _reason(self, name: str) -> str:
        if name in _GONE:
            return _GONE[name]
        near = difflib.get_close_matches(name, self._known, n=3, cutoff=0.75)
        if near:
            return f"perhaps it is a misspelt {' or '.join(f'--{word}' for word in near)}"
        return "it is a flag of another version, or misspelt"


def _is_on(value: FlagValue | None) -> bool:
    return value is not None and str(value).lower() in {"true", "1", ""}


def _whole(name: str, value: FlagValue) -> int:
    try:
        return int(str(value))
    except ValueError as error:
        raise ConfigError(
            f"The launch flag {name} takes a whole number, not {value!r}."
        ) from error


def _checked(name: str, value: FlagValue, kind: FlagKind) -> FlagValue:
    """Returns a value in the shape that its flag takes; texts come from the command line."""
    if kind == "switch":
        return _switch(name, value)
    if isinstance(value, bool) or value in {"", ()}:
        raise ConfigError(f"The launch flag {name} takes a value, not {_shown(value)}.")
    if kind == "values":
        if isinstance(value, str):
            return tuple(value.replace(",", " ").split())
        return value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple):
        raise ConfigError(f"The launch flag {name} takes one value, not {_shown(value)}.")
    return value


def _switch(name: str, value: FlagValue) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in words:
        raise ConfigError(
            f"The launch flag {name} is a switch: give true or false, not {_shown(value)}."
        )
    return words[str(value).lower()]


def _shown(value: FlagValue) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def command_line(flags: Mapping[str, FlagValue]) -> list[str]:
    """Returns the flags as arguments."""
    arguments: list[str] = []
    for name, value in flags.items():
        if value is False:
            continue
        arguments.append(f"--{name}")
        if isinstance(value, tuple):
            arguments += [str(item) for item in value]
        elif value is not True:
            arguments.append(str(value))
    return arguments
