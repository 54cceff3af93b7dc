"""Makes the command that starts LightLLM, from a profile, the user and the installed version."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lightllm_evals.errors import ConfigError, ServerStartError
from lightllm_evals.server.environment import server_environment
from lightllm_evals.server.flags import (
    FlagKind,
    FlagValue,
    command_line,
    fit_flags,
    parse_help,
)
from lightllm_evals.server.ports import is_port_free, pick_ports

_MODULE = "lightllm.server.api_server"
# Importing LightLLM means importing torch, which can take a minute from a cold disk.
_HELP_TIMEOUT_S = 300.0
_PORTS = ("port", "nccl_port")
_EVERY_INTERFACE = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What LightLLM server is wanted.

    Attributes:
        model_dir: Folder with config, weights and tokenizer.
        python: Interpreter of the environment that has LightLLM; None is our own.
        flags: Launch flags of the profile, names without dashes. Its ``port`` and
            ``nccl_port`` are replaced by free ones.
        server_args: Launch flags of the user, which beat the profile's; a ``port`` here stays.
        host: Interface to listen on, unless the flags name one.
        env: Variables for the server on top of the harness's own.
    """

    model_dir: str
    python: str | None = None
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    server_args: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """One start of a server.

    Attributes:
        command: The command line.
        url: Base URL at which it will answer.
        nccl_port: In versions of 2025 the identity of the instance; None if it has none.
        ports: All ports that were chosen for it.
        is_port_pinned: The user named a port, so another one is no way out.
        warnings: Sentences about flags that were changed or left out.
    """

    command: tuple[str, ...]
    url: str
    nccl_port: int | None
    ports: tuple[int, ...]
    is_port_pinned: bool
    warnings: tuple[str, ...]


def plan_launch(spec: LaunchSpec) -> LaunchPlan:
    """Returns the command for a server on ports that are free now.

    Raises:
        ConfigError: No model there, an interpreter without LightLLM, a taken port, or a flag
            with a value that it does not take.
        ServerStartError: LightLLM is there and cannot say which flags it takes.
    """
    python = spec.python or sys.executable
    pinned = {_flag_name(name): value for name, value in spec.server_args.items()}
    wanted: dict[str, FlagValue] = {
        "model_dir": spec.model_dir,
        "host": spec.host,
        **{_flag_name(name): value for name, value in spec.flags.items()},
        **pinned,
    }
    model_dir = _model_dir(str(wanted["model_dir"]))
    wanted |= {"model_dir": str(model_dir)}
    known = installed_flags(python, tuple(sorted(spec.env.items())))
    if "model_name" in known:
        wanted.setdefault("model_name", model_dir.name)
    wanted |= _free_ports(wanted, pinned, known)
    fitted = fit_flags(wanted, known)
    ports = {name: int(str(fitted.flags[name])) for name in ("port", "nccl_port") if name in known}
    return LaunchPlan(
        command=(python, "-m", _MODULE, *command_line(fitted.flags)),
        url=_url(str(fitted.flags.get("host", "")), ports["port"]),
        nccl_port=ports.get("nccl_port"),
        ports=tuple(ports.values()),
        is_port_pinned=bool(pinned.keys() & {"port", "nccl_port"}),
        warnings=fitted.warnings,
    )


def _flag_name(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _model_dir(given: str) -> Path:
    path = Path(given).expanduser().absolute()
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ConfigError(
            f"The model folder {path} {what}; --lightllm-model-dir takes a folder with a "
            "model's config, weights and tokenizer."
        )
    return path


def _free_ports(
    wanted: Mapping[str, FlagValue],
    pinned: Mapping[str, FlagValue],
    known: Mapping[str, FlagKind],
) -> dict[str, FlagValue]:
    """Returns the port flags: the user's own after a check, else free ones."""
    taken = {name: _pinned_port(name, pinned[name]) for name in _PORTS if name in pinned}
    missing = [name for name in _PORTS if name in known and name not in taken]
    # Bound for a moment by every server of 2025, even for a model that only reads text.
    num_visual = 0
    if "visual_nccl_ports" in known and "visual_nccl_ports" not in wanted:
        num_visual = int(str(wanted.get("visual_dp", 1)))
    picked = pick_ports(len(missing) + num_visual, avoid=taken.values())
    ports: dict[str, FlagValue] = {**taken, **dict(zip(missing, picked, strict=False))}
    if num_visual:
        ports["visual_nccl_ports"] = tuple(picked[len(missing) :])
    return ports


def _pinned_port(name: str, value: FlagValue) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigError(f"--lightllm-server-arg {name} takes a port, not {text!r}.")
    if not is_port_free(int(text)):
        raise ConfigError(
            f"The port of --lightllm-server-arg {name}={text} is taken. Give another one, or "
            "leave it out: a free one is chosen."
        )
    return int(text)


def _url(host: str, port: int) -> str:
    reachable = "127.0.0.1" if host in _EVERY_INTERFACE else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


@lru_cache(maxsize=16)
def installed_flags(python: str, env: tuple[tuple[str, str], ...] = ()) -> Mapping[str, FlagKind]:
    """Returns the launch flags of the LightLLM that an interpreter has; asked once.

    Raises:
        ConfigError: There is no such interpreter, or it has no LightLLM.
        ServerStartError: LightLLM is there and its help text cannot be had.
    """
    command = (python, "-m", _MODULE, "--help")
    done = _run_for_help(command, dict(env))
    known = parse_help(done.stdout)
    if done.returncode != 0 or "port" not in known:
        raise _help_error(command, done)
    return known


def _run_for_help(
    command: tuple[str, ...], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            # A wide page without colours, whatever the terminal: the text is parsed.
            env=server_environment({**env, "COLUMNS": "200", "NO_COLOR": "1"}),
            timeout=_HELP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerStartError(
            f"LightLLM did not print its help text within {_HELP_TIMEOUT_S:g} s.", command
        ) from error
    except OSError as error:
        raise ConfigError(
            f"--lightllm-python {command[0]} cannot be run: {error.strerror}. Name the Python "
            "interpreter of the environment that has LightLLM."
        ) from error


def _help_error(
    command: tuple[str, ...], done: subprocess.CompletedProcess[str]
) -> ConfigError | ServerStartError:
    last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    if "No module named" in last:
        missing = last.rpartition("No module named")[2].strip()
        what = "has no LightLLM" if "lightllm" in missing else f"lacks {missing} for LightLLM"
        return ConfigError(
            f"{command[0]} {what} (No module named {missing}). Name the interpreter of the "
            "environment that has it with --lightllm-python, or install it there."
        )
    tail = "\n".join(done.stderr.strip().splitlines()[-20:])
    return ServerStartError(
        "LightLLM does not tell which flags it takes. Run this command yourself and mend what it "
        "says, or name another interpreter with --lightllm-python.",
        command,
        done.returncode,
        tail,
    )
