"""Chat templates on disk: Jinja files by name or path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightllm_evals.errors import ConfigError
from lightllm_evals.prompts.chat_template import ChatTemplate


def load_chat_template(
    path_or_name: str, search: Sequence[Path] = (), *, bos_token: str = "", eos_token: str = ""
) -> ChatTemplate:
    """Returns the chat template in a file, or the one of that name in the folders ``search``.

    Args:
        path_or_name: A path (it ends in ``.jinja`` or has a folder), else a name.
        search: Folders that are looked through for ``<name>.jinja``, in order.
        bos_token: Text of the BOS token, "" where the template writes none.
        eos_token: Text of the EOS token, "" where the template writes none.

    Raises:
        ConfigError: No such file, or it cannot be read.
    """
    path = _find(path_or_name, search)
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The chat template {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The chat template {path} is not UTF-8 text: {error}.") from error
    return ChatTemplate(name=path.stem, source=source, bos_token=bos_token, eos_token=eos_token)


def _find(path_or_name: str, search: Sequence[Path]) -> Path:
    path = Path(path_or_name)
    if path.suffix == ".jinja" or len(path.parts) > 1:
        return path
    for folder in search:
        found = folder / f"{path_or_name}.jinja"
        if found.is_file():
            return found
    names = sorted({file.stem for folder in search for file in folder.glob("*.jinja")})
    there = f"there are {', '.join(names)}" if names else "there are none"
    raise ConfigError(
        f"There is no chat template {path_or_name!r}, which the profile names; {there}. "
        "Give one of these or the path of a .jinja file."
    )
