"""The command-line options, each with an ini key of the same name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Set
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.settings import (
    DEFAULT_PLACE,
    LAST_RUN,
    Settings,
    continued_settings,
    resolve_settings,
    settings_from_data,
)

SETTINGS = pytest.StashKey[Settings]()
SENT_SETTINGS = "lightllm_settings"
# Options whose field has another name.
_FIELDS = {
    "url": "urls",
    "server_arg": "server_args",
    "variant": "variants",
    "param": "params",
    "min": "minimums",
}


class _Option(NamedTuple):
    name: str
    metavar: str
    help: str
    is_list: bool = False
    is_flag: bool = False
    without_value: str = ""


OPTIONS = (
    _Option(
        "url",
        "URL",
        "LightLLM server to evaluate, such as http://gpu-box:1030; repeat it or separate with "
        "commas for replicas. Without it and --lightllm-model-dir, the embedded CPU server runs.",
        is_list=True,
    ),
    _Option("model-dir", "DIR", "start a LightLLM server with the model in DIR"),
    _Option("python", "FILE", "Python interpreter of the environment that has LightLLM"),
    _Option(
        "server-arg", "KEY=VALUE", "launch flag for --lightllm-model-dir; beats the profile", True
    ),
    _Option("replicas", "N", "start N servers (default 1)"),
    _Option("profile", "NAME", "model profile: a file in fixtures/profiles/, or its path"),
    _Option("api", "API", "generate (default), chat or completions"),
    _Option("stream", "", "stream completions; measures TTFT and TPOT as well", is_flag=True),
    _Option(
        "variant", "NAME=FORM", "form of a benchmark, such as humaneval=bigcode; repeatable", True
    ),
    _Option("limit", "N", "run the first N samples a benchmark, its subjects in turn, or all"),
    _Option("repeats", "N", "complete every sample N times, for pass@k"),
    _Option("param", "KEY=VALUE", "sampling parameter, such as temperature=0.8; repeatable", True),
    _Option("concurrency", "N", "requests in flight, over all workers and replicas (default 64)"),
    _Option("rate", "R", "send at most R requests a second"),
    _Option("request-timeout", "S", "deadline of one request in seconds (default 600)"),
    _Option("retries", "N", "further attempts after a broken one (default 4)"),
    _Option(
        "start-timeout",
        "S",
        "seconds a server may take to become ready (default 60, 600 for one that is started)",
    ),
    _Option("gguf", "FILE", "model file for the embedded server instead of the default model"),
    _Option("min-isolation", "LEVEL", "weakest sandbox level accepted, 0 to 3 (default 2)"),
    _Option("run-dir", "DIR", "where results go (default .lightllm-evals/runs/<time>-<id>)"),
    _Option(
        "min",
        "CONDITION",
        "gate: exit status 0 exactly when every condition such as 'humaneval:pass@1>=0.02' "
        "holds and every sample was scored; repeatable",
        True,
    ),
    _Option("data-dir", "DIR", "folder with mirrored data sets"),
    _Option(
        "baseline",
        "FILE|DIR|none",
        "gate: compare with this baseline instead of the fitting one under fixtures/baselines/",
    ),
    _Option(
        "save-baseline",
        "FILE",
        "save the run as a baseline, if it is complete; without FILE as "
        "fixtures/baselines/<model>/<benchmark>.json",
        without_value=DEFAULT_PLACE,
    ),
    _Option(
        "gate",
        "POLICY",
        "gate: what the run has to meet, such as 'humaneval: drop<=2, alpha=0.05'; repeatable, "
        "see docs/gate.md",
        True,
    ),
    _Option("shard", "I/N", "run part I of N; `lightllm-evals merge` puts the runs together"),
    _Option(
        "resume",
        "RUN",
        "finish a run that was killed, asking only for what is missing (default: the last run)",
        without_value=LAST_RUN,
    ),
    _Option(
        "rescore",
        "RUN",
        "judge a run's stored completions again, without a server (default: the last run)",
        without_value=LAST_RUN,
    ),
    _Option(
        "fresh", "", "with --lf or --ff: ask again for completions that are stored", False, True
    ),
)


FLAGS = frozenset(f"--lightllm-{option.name}" for option in OPTIONS if option.is_flag)
"""Options that take no value."""


def add_options(parser: pytest.Parser) -> None:
    """Declares every option and its ini key."""
    group = parser.getgroup("lightllm", "evaluation of LLMs served by LightLLM")
    for option in OPTIONS:
        dest = _dest(option)
        flag = f"--lightllm-{option.name}"
        if option.is_flag:
            group.addoption(flag, dest=dest, action="store_true", default=None, help=option.help)
        else:
            optional: dict[str, Any] = (
                {"nargs": "?", "const": option.without_value} if option.without_value else {}
            )
            group.addoption(
                flag,
                dest=dest,
                action="append" if option.is_list else "store",
                default=None,
                metavar=option.metavar,
                help=option.help,
                **optional,
            )
        kind = "bool" if option.is_flag else "linelist" if option.is_list else "string"
        parser.addini(dest, f"same as {flag}", type=kind, default=None)  # type: ignore[arg-type]  # one of pytest's names


def _dest(option: _Option) -> str:
    return f"lightllm_{option.name.replace('-', '_')}"


def resolve(config: pytest.Config) -> Settings:
    """Returns the settings of this run: the command line beats the ini file.

    A worker takes them from the controller: "the last run" is another one by then.

    Raises:
        pytest.UsageError: A value is not what its option takes.
    """
    sent = getattr(config, "workerinput", {}).get(SENT_SETTINGS)
    if sent is not None:
        return settings_from_data(json.loads(sent))
    raw: dict[str, Any] = {}
    given = set()
    for option in OPTIONS:
        name = option.name.replace("-", "_")
        value = config.getoption(_dest(option))
        if value is not None:
            given.add(_FIELDS.get(name, name))
        raw[name] = config.getini(_dest(option)) if value is None else value
    try:
        settings = resolve_settings(raw)
        return _continued(settings, given, config) if _continues(settings) else settings
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error


def _continues(settings: Settings) -> bool:
    return bool(settings.resume or settings.rescore)


def _continued(settings: Settings, given: Set[str], config: pytest.Config) -> Settings:
    from lightllm_evals.runs.past_run import find_run  # noqa: PLC0415  # only where it is needed

    run = find_run(settings.resume or settings.rescore or "", runs_folder(config))
    earlier = settings_from_data(run.identity["settings"])
    settings = continued_settings(settings, earlier, given, run.identity.get("profile"))
    path = str(run.path)
    if settings.rescore:
        return dataclasses.replace(settings, rescore=path)
    return dataclasses.replace(settings, resume=path)


def runs_folder(config: pytest.Config) -> Path:
    """Returns where runs are kept unless --lightllm-run-dir says otherwise."""
    from lightllm_evals.runs.directory import runs_below  # noqa: PLC0415  # only where needed

    return runs_below(config.invocation_params.dir)
