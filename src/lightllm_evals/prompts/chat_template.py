"""Chat templates that are rendered here, instead of by the server.

They are Jinja, as ``tokenizer_config.json`` has them, and rendered as ``transformers`` renders
them (``apply_chat_template``: blocks trimmed, ``raise_exception``, loop controls), with two
differences: a template that names ``bos_token`` or ``eos_token`` has to be given one, and there
is no ``strftime_now``, since a prompt must be the same tomorrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Message

if TYPE_CHECKING:
    import jinja2

# What tokenizers call the token that begins a text.
KNOWN_BOS = ("<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<｜begin▁of▁sentence｜>")
# What begins a turn in templates that we do not have: the server's own.
KNOWN_MARKERS = ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]", "<｜User｜>")

# No user writes this; it only tells apart what a template writes around a turn.
_PROBE = ("\ufdd0a\ufdd1", "\ufdd0b\ufdd1", "\ufdd0c\ufdd1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """A chat template with the special tokens that it may write.

    Attributes:
        name: What profiles call it.
        source: Its Jinja text.
        bos_token: Text of the token that begins a text, "" where the profile names none.
        eos_token: Text of the token that ends a turn, "" where the profile names none.
    """

    name: str
    source: str
    bos_token: str = ""
    eos_token: str = ""

    def render(self, turns: Sequence[Message]) -> str:
        """Returns the prompt that opens the assistant's turn after the given ones.

        Raises:
            ConfigError: The template is wrong, refuses these turns, or needs a token that it
                was not given; or a turn was rendered already.
        """
        for turn in turns:
            if marker := found_marker(turn.content, turn_markers(self)):
                raise ConfigError(
                    f"A {turn.role} turn already has {marker!r}, with which the chat template "
                    f"{self.name} begins one, so that it would be applied twice: leave the "
                    "template out, or let the benchmark's prompt be plain text."
                )
        return self._rendered(turns)

    def writes_bos(self, prompt: str) -> bool:
        """Returns whether a rendered prompt begins with BOS, so that none may be added."""
        return prompt.startswith((self.bos_token,) if self.bos_token else KNOWN_BOS)

    def _rendered(self, turns: Sequence[Message], *, opens_answer: bool = True) -> str:
        template, names = _compiled(self.name, self.source)
        tokens = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        for token, text in tokens.items():
            if token in names and not text:
                raise ConfigError(
                    f"The chat template {self.name} writes {token}, and the profile does not "
                    f"say what that is: add {token} = '...', as the tokenizer has it."
                )
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return template.render(messages=messages, add_generation_prompt=opens_answer, **tokens)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A template is a program: these are what its expressions raise.
            raise self._broken(error) from error
        except _template_error() as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"The chat template {self.name} cannot be rendered: {error}. Change the template, or "
            "what the profile and the benchmark give it (system prompt, order of turns)."
        )


def found_marker(text: str, markers: Sequence[str]) -> str:
    """Returns the first of some turn markers that is part of a text, "" if none is."""
    return next((marker for marker in markers if marker in text), "")


def known_bos(prompt: str) -> str:
    """Returns the token text of some tokenizer's BOS that a prompt begins with, "" if none."""
    return next((token for token in KNOWN_BOS if prompt.startswith(token)), "")


@cache
def turn_markers(template: ChatTemplate) -> tuple[str, ...]:
    """Returns what a template writes before a user's and before the assistant's turn.

    Only what nobody would write by chance: a bare ``USER:`` may be part of a question.
    """
    first, answer, second = _PROBE
    turns = [
        Message(role="user", content=first),
        Message(role="assistant", content=answer),
        Message(role="user", content=second),
    ]
    text = template._rendered(turns)
    closed = template._rendered(turns, opens_answer=False)
    before, _, rest = text.partition(first)
    between = rest.partition(answer)[2].partition(second)[0]
    before = before.removeprefix(template.bos_token or known_bos(before))
    # A default system prompt stands before the first user's turn only.
    openings = (_common_end(before, between), text.removeprefix(closed))
    markers = (opening.strip().rpartition("\n")[2].strip() for opening in openings)
    return tuple(marker for marker in markers if _is_peculiar(marker))


def _common_end(left: str, right: str) -> str:
    length = 0
    while length < min(len(left), len(right)) and left[-1 - length] == right[-1 - length]:
        length += 1
    return left[len(left) - length :]


def _is_peculiar(text: str) -> bool:
    return any(mark in text for mark in "<[{|#｜")


@cache
def _compiled(name: str, source: str) -> tuple[jinja2.Template, frozenset[str]]:
    """Returns a template ready to be rendered, and the names that it takes from outside."""
    from jinja2 import meta  # noqa: PLC0415  # only profiles with a template pay for it
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise
    try:
        names = meta.find_undeclared_variables(environment.parse(source))
        return environment.from_string(source), frozenset(names)
    except _template_error() as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise ConfigError(f"The chat template {name}{where} is no Jinja: {error}.") from error


def _raise(message: Any) -> NoReturn:
    raise _template_error()(str(message))


def _template_error() -> type[Exception]:
    from jinja2 import TemplateError  # noqa: PLC0415

    return TemplateError
