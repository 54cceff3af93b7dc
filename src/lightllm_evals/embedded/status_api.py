"""The endpoints that tell about the server: health, names, limits, load, metrics."""

from __future__ import annotations

import time
from typing import Any

from lightllm_evals.embedded.bodies import error_response, json_response
from lightllm_evals.embedded.generation import Generator
from lightllm_evals.embedded.wire import Exchange, HttpResponse


class StatusApi:
    """Answers from the settings and from what has been counted."""

    def __init__(self, generator: Generator) -> None:
        self._engine = generator.engine
        self._settings = generator.settings
        self._started_unix_s = int(time.time())
        self.num_requests = 0
        self.num_answered = 0

    def alive(self, exchange: Exchange) -> None:
        """Answers ``/liveness`` and ``/readiness``."""
        exchange.respond(json_response({"status": "ok"}))

    def health(self, exchange: Exchange) -> None:
        """Answers ``/health`` and ``/healthz``: with the engine gone there is no server."""
        exchange.respond(json_response({"message": "Ok"}))

    def model_name(self, exchange: Exchange) -> None:
        """Answers ``/get_model_name``."""
        exchange.respond(json_response({"model_name": self._settings.model_name}))

    def models(self, exchange: Exchange) -> None:
        """Answers ``/v1/models``."""
        model = {
            "id": self._settings.model_name,
            "object": "model",
            "created": self._started_unix_s,
            "owned_by": "lightllm",
            "max_model_len": self._settings.max_req_total_len,
        }
        exchange.respond(json_response({"object": "list", "data": [model]}))

    def server_info(self, exchange: Exchange) -> None:
        """Answers ``/get_server_info``: the settings that mean something here."""
        exchange.respond(json_response(self._server_info()))

    def _server_info(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "run_mode": "normal",
            "host": settings.host,
            "port": settings.port,
            "httpserver_workers": 1,
            "model_name": settings.model_name,
            "model_dir": f"embedded-{self._engine.name}",
            "tokenizer_mode": "fast",
            "max_total_token_num": settings.max_req_total_len * self._engine.num_slots,
            "max_req_total_len": settings.max_req_total_len,
            "running_max_req_size": self._engine.num_slots,
            "eos_id": sorted(self._engine.eos_ids),
            "enable_prompt_logprobs": True,
            "tp": 1,
            "dp": 1,
        }

    def token_load(self, exchange: Exchange) -> None:
        """Answers ``/token_load`` with the share of slots in use."""
        load = min(1.0, self._engine.num_running() / self._engine.num_slots)
        exchange.respond(
            json_response(
                {"current_load": load, "logical_max_load": load, "dynamic_max_load": load}
            )
        )

    def score(self, exchange: Exchange) -> None:
        """Answers ``/get_score`` as a model without rewards does."""
        exchange.respond(error_response(self._settings.dialect, 417, "'score'"))

    def metrics(self, exchange: Exchange) -> None:
        """Answers ``/metrics`` with the counters that we keep."""
        name = f'{{model_name="{self._settings.model_name}"}}'
        counters = {
            "lightllm_request_count_total": ("The total number of requests", self.num_requests),
            "lightllm_request_success_total": (
                "The number of successful requests",
                self.num_answered,
            ),
        }
        lines = []
        for metric, (text, value) in counters.items():
            lines += [f"# HELP {metric} {text}", f"# TYPE {metric} counter"]
            lines.append(f"{metric}{name} {float(value)}")
        running = float(self._engine.num_running())
        lines += [
            "# HELP lightllm_batch_current_size Current batch size",
            "# TYPE lightllm_batch_current_size gauge",
            f"lightllm_batch_current_size{name} {running}",
        ]
        exchange.respond(HttpResponse(status=200, body=("\n".join(lines) + "\n").encode()))
