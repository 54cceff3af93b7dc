"""The attempts at one request, each a whole HTTP exchange."""

from __future__ import annotations

from collections.abc import Callable

from lightllm_evals.client.answers import Answer, cut, parse
from lightllm_evals.client.failures import TransientError, status_failure
from lightllm_evals.client.overflow import overflow
from lightllm_evals.client.retry import retry_after_s
from lightllm_evals.client.streaming import StreamReader
from lightllm_evals.client.transport import Reply, Transport
from lightllm_evals.client.wire import build
from lightllm_evals.errors import RequestError, RequestTimeoutError
from lightllm_evals.records import Completion, Request, ServerInfo


class Attempts:
    """Makes attempts at one request until the caller is content."""

    def __init__(
        self,
        request: Request,
        *,
        transport: Transport,
        info: ServerInfo | None,
        timeout_s: float,
        stream: bool,
        clock: Callable[[], float],
        admit: Callable[[], None],
    ) -> None:
        self._request = request
        self._transport = transport
        self._info = info
        self._timeout_s = timeout_s
        self._is_streaming = stream
        self._clock = clock
        self._admit = admit

    def run(self, number: int) -> Completion:
        """Returns the completion that attempt ``number``, counted from 1, got.

        Raises:
            TransientError: The next attempt may get one.
            RequestError: It would not.
        """
        self._admit()
        started_at = self._clock()
        if self._is_streaming:
            answer, ended_at, ttft_s, tpot_s = self._streamed(started_at)
        else:
            reply = self._exchange(None)
            answer, ended_at, ttft_s, tpot_s = self._parsed(reply), reply.ended_at, None, None
        answer = cut(answer, self._request.params.stop_sequences)
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            latency_s=ended_at - started_at,
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            attempts=number,
            server=self._transport.url,
        )

    def _streamed(self, started_at: float) -> tuple[Answer, float, float | None, float | None]:
        reader = StreamReader(self._clock)
        try:
            reply = self._exchange(reader)
            if not reader.is_fed and not _is_event_stream(reply):
                return self._parsed(reply), reply.ended_at, None, None
            reader.feed(reply.body)
            answer = reader.answer()
            ended_at = reply.ended_at
        except (TransientError, RequestTimeoutError):
            if not reader.is_finished:
                # [A] refuses a prompt that does not fit by cutting the stream before its first
                # event; without streaming it says why.
                self._is_streaming = reader.num_events > 0
                raise
            # All of the answer was there when the connection broke.
            answer = reader.answer()
            ended_at = self._clock()
        return answer, ended_at, reader.ttft_s(started_at), reader.tpot_s(answer.output_tokens)

    def _exchange(self, reader: StreamReader | None) -> Reply:
        call = build(self._request, self._info, stream=reader is not None)
        reply = self._transport.exchange(
            "POST",
            call.path,
            body=call.body,
            timeout_s=self._timeout_s,
            request_id=self._request.id,
            on_chunk=reader.feed if reader else None,
        )
        if reply.status != 200:
            raise self._failure(reply, call.path)
        return reply

    def _failure(self, reply: Reply, path: str) -> RequestError | TransientError:
        if reply.status == 500 and path.startswith("/v1/"):
            explained = overflow(self._request, self._info, self._transport)
            if explained is not None:
                return explained
        return status_failure(
            reply.status,
            reply.content_type,
            reply.body,
            path,
            retry_after_s(reply.headers.get("Retry-After")),
        )

    def _parsed(self, reply: Reply) -> Answer:
        return parse(reply.body, reply.content_type)


def _is_event_stream(reply: Reply) -> bool:
    """Returns whether a body that came in one piece is a stream all the same."""
    return reply.body.lstrip().startswith((b"data:", b":", b"event:"))
