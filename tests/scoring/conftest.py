from __future__ import annotations

from collections.abc import Iterator

import pytest

from lightllm_evals.datasets import storage
from lightllm_evals.sandbox import Sandbox


@pytest.fixture
def tiny(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the sources read fixtures/datasets, whose checksums are not the registry's."""
    folder = pytestconfig.rootpath / "fixtures" / "datasets"
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(folder))
    monkeypatch.setattr(storage, "check_sum", lambda *_: None)


@pytest.fixture
def shared(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the sources read the real data sets beside the checkout."""
    folder = pytestconfig.rootpath.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder.parent.name}/{folder.name} beside the checkout")
    monkeypatch.setenv(storage.ENVIRONMENT_VARIABLE, str(folder))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox at the strongest level that this machine offers, unconfined ones excepted."""
    with Sandbox(min_isolation=1) as running:
        yield running
