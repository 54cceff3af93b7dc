"""The package as installed: in a user's own project nothing of the checkout is needed.

``tox`` runs this on the built wheel, so it also says what the wheel has to hold.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

PROFILES = Path(__file__).parents[2] / "fixtures" / "profiles"


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_shipped_profile_is_found_in_a_project_of_the_user(
    pytester: pytest.Pytester, toy: Callable[[int], None], name: str
) -> None:
    toy(3)
    result = pytester.runpytest_subprocess("--collect-only", "-q", f"--lightllm-profile={name}")
    result.stdout.fnmatch_lines(["test_toy.py::test_toy[[]toy/0]", "*3 tests collected*"])
    assert result.ret == pytest.ExitCode.OK


def test_package_ships_its_types() -> None:
    assert resources.files("lightllm_evals").joinpath("py.typed").is_file()


def test_package_ships_the_registry_of_data_sets() -> None:
    registry = resources.files("lightllm_evals.datasets").joinpath("registry.toml")
    assert registry.is_file()
