"""Paths and methods: which handler answers what, in which dialect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lightllm_evals.embedded.bodies import json_response
from lightllm_evals.embedded.generation import Generator
from lightllm_evals.embedded.native_api import NativeApi
from lightllm_evals.embedded.openai_api import OpenAiApi
from lightllm_evals.embedded.stage import Stage
from lightllm_evals.embedded.status_api import StatusApi
from lightllm_evals.embedded.wire import JSON_HEADERS, Exchange, HttpResponse

STATISTICS_PATH = "/_simulated/stats"

_Plain = Callable[[Exchange], None]
_Generation = Callable[[Exchange], Awaitable[None]]

_NOT_FOUND = json_response({"detail": "Not Found"}, 404)


class Application:
    """The handler of all requests."""

    def __init__(self, generator: Generator, stage: Stage | None = None) -> None:
        self._stage = stage
        self._status = StatusApi(generator)
        native = NativeApi(generator)
        openai = OpenAiApi(generator)
        self._generations: dict[str, _Generation] = {
            "/generate": native.generate,
            "/generate_stream": native.generate_stream,
            "/": native.root,
            "/v1/completions": openai.completions,
            "/v1/chat/completions": openai.chat_completions,
        }
        self._plain = self._plain_routes(native, generator.settings.dialect)

    def _plain_routes(
        self, native: NativeApi, dialect: str
    ) -> dict[str, tuple[tuple[str, ...], _Plain]]:
        status = self._status
        routes: dict[str, tuple[tuple[str, ...], _Plain]] = {
            "/tokens": (("GET", "POST"), native.tokens),
            "/token_load": (("GET",), status.token_load),
            "/health": (("GET", "HEAD"), status.health),
            "/healthz": (("GET",), status.health),
            "/liveness": (("GET", "POST"), status.alive),
            "/readiness": (("GET", "POST"), status.alive),
            "/get_model_name": (("GET", "POST"), status.model_name),
            "/get_score": (("POST",), status.score),
            "/metrics": (("GET",), status.metrics),
        }
        if dialect == "b":
            routes["/v1/models"] = (("GET",), status.models)
            routes["/get_server_info"] = (("GET",), status.server_info)
        if self._stage is not None:
            routes[STATISTICS_PATH] = (("GET",), self._statistics)
        return routes

    async def __call__(self, exchange: Exchange) -> None:
        """Answers one request."""
        path, method = exchange.request.path, exchange.request.method
        generation = self._generations.get(path)
        if generation is not None:
            if method != "POST":
                exchange.respond(_not_allowed(("POST",)))
                return
            await self._generate(exchange, generation)
            return
        route = self._plain.get(path)
        if route is None:
            exchange.respond(_NOT_FOUND)
        elif method not in route[0]:
            exchange.respond(_not_allowed(route[0]))
        else:
            route[1](exchange)

    async def _generate(self, exchange: Exchange, generation: _Generation) -> None:
        self._status.num_requests += 1
        if self._stage is not None:
            await self._stage.run(exchange, generation)
        else:
            await generation(exchange)
        self._status.num_answered += 1

    def _statistics(self, exchange: Exchange) -> None:
        assert self._stage is not None
        exchange.respond(json_response(self._stage.statistics.as_json()))


def _not_allowed(methods: tuple[str, ...]) -> HttpResponse:
    body = json_response({"detail": "Method Not Allowed"}).body
    # Starlette names the methods of the first route of a path alone.
    return HttpResponse(
        status=405, body=body, headers={**JSON_HEADERS, "allow": ", ".join(methods)}
    )
