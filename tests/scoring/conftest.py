from __future__ import annotations

from collections.abc import Iterator

import pytest

from lightllm_evals.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox at the strongest level that this machine offers, unconfined ones excepted."""
    with Sandbox(min_isolation=1) as running:
        yield running
