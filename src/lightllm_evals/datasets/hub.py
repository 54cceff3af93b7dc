"""Downloads from Hugging Face through its own client, where that is installed (extra ``hub``).

It brings the user's token, mirror (``HF_ENDPOINT``) and proxies along; a plain download knows
none of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

from lightllm_evals.errors import DatasetError

_ADDRESS = re.compile(r"https://huggingface\.co/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


def is_ours(url: str) -> bool:
    """Returns whether an address is a Hugging Face data set's and the client is installed."""
    return _ADDRESS.fullmatch(url) is not None and (
        importlib.util.find_spec("huggingface_hub") is not None
    )


def download(url: str, sha256: str, folder: Path) -> Path:
    """Downloads a Hugging Face data set's file into a folder and returns it.

    Raises:
        DatasetError: It cannot be had, or has another checksum than a ``sha256`` that is not "".
    """
    # Not everybody has it.
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    found = _ADDRESS.fullmatch(url)
    assert found is not None, url
    name, revision, file = found.groups()
    try:
        path = Path(
            hf_hub_download(
                name, file, repo_type="dataset", revision=revision, local_dir=str(folder)
            )
        )
        content_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DatasetError(f"Cannot download {url} by huggingface_hub: {reason}.") from error
    if sha256 and content_hash != sha256:
        raise DatasetError(
            f"{url} has another content than scores are defined on: sha256 {content_hash}, "
            f"expected {sha256}. See whether HF_ENDPOINT names a mirror that is out of date."
        )
    return path
