from __future__ import annotations

import json

from lightllm_evals.records import from_json, to_json
from lightllm_evals.results import CaseVerdict, MetricValue


def test_metrics_survive_json_with_and_without_weights() -> None:
    metrics: dict[str, MetricValue] = {"acc": 1.0, "word_perplexity": (12.5, 3.0)}
    verdict = CaseVerdict(outcome="passed", metrics=metrics)
    data = json.loads(json.dumps(to_json(verdict)))
    assert data["metrics"] == {"acc": 1.0, "word_perplexity": [12.5, 3.0]}
    assert from_json(CaseVerdict, data) == verdict
