"""Capitals: a benchmark in a repository of your own."""

from pathlib import Path

from lightllm_evals import benchmark
from lightllm_evals.datasets import jsonl

CAPITALS = jsonl(Path(__file__).with_name("capitals.jsonl"), id="country", group="continent")


def question(sample):
    return f"Q: What is the capital of {sample['country']}?\nA:"


@benchmark("capitals", samples=CAPITALS, prompt=question, max_new_tokens=8, stop=["\n"])
def test_capitals(sample, answer):
    assert sample["capital"] in answer
