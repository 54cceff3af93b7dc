"""The environment variables of a server."""

from __future__ import annotations

import os
from collections.abc import Mapping

# These name an instance; inherited, a second server would use the first one's shared memory.
UNSET_ENV = ("LIGHTLLM_UNIQUE_SERVICE_NAME_ID", "LIGHTLLM_START_ARGS")


def server_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Returns our own variables without another instance's names, then the changes."""
    env = {name: value for name, value in os.environ.items() if name not in UNSET_ENV}
    return {**env, **changes}
