from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightllm_evals.errors import ConfigError
from lightllm_evals.shard import parse_shard


@given(sample_id=st.text(), count=st.integers(min_value=1, max_value=50))
def test_every_sample_is_in_exactly_one_shard(sample_id: str, count: int) -> None:
    shards = [parse_shard(f"{number}/{count}") for number in range(1, count + 1)]
    assert sum(shard.has(sample_id) for shard in shards) == 1


def test_a_sample_stays_in_its_shard_from_one_machine_to_the_next() -> None:
    having = [n for n in range(1, 17) if parse_shard(f"{n}/16").has("HumanEval/0")]
    assert having == [9]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="takes I/N"):
        parse_shard(text)
