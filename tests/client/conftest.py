from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lightllm_evals.client import Client
from lightllm_evals.records import Request, SamplingParams

GOOD = {
    "generated_text": [" Paris.\n"],
    "count_output_tokens": 3,
    "finish_reason": "length",
    "prompt_tokens": 6,
}


class Exchange:
    """One request that came in, and the way to answer it byte by byte."""

    def __init__(self, server: Loopback, connection: socket.socket, number: int) -> None:
        self._server = server
        self._connection = connection
        self.connection_number = number
        self.method = ""
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_closed = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        """Sends bytes as they are; a client that has gone away is no error."""
        try:
            self._connection.sendall(data)
        except OSError:
            self.is_closed = True

    def reply(
        self, data: object = GOOD, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        fields = {"Content-Length": str(len(body))} | (headers or {})
        self.send(_head(status, fields) + body)

    def stream(self, events: list[bytes], *, is_complete: bool = True) -> None:
        """Sends each item as a chunk; an incomplete stream is cut without its last chunk."""
        fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self.send(_head(200, fields))
        for event in events:
            self.send(b"%x\r\n%s\r\n" % (len(event), event))
        if is_complete:
            self.send(b"0\r\n\r\n")
        else:
            self.close()

    def close(self) -> None:
        self.is_closed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Closes the connection in the way of a process that is killed."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.is_closed = True

    def hang(self) -> None:
        """Returns when the client has closed the connection, or the test is over."""
        self._connection.settimeout(0.05)
        while not self._server.is_over.is_set():
            with contextlib.suppress(TimeoutError):
                if not self._connection.recv(1):
                    break
        self._server.gone.set()
        self.is_closed = True

    def trickle(self, data: bytes) -> None:
        """Sends a byte every 20 ms, for ever, until the client has gone away."""
        while not self.is_closed and not self._server.is_over.wait(0.02):
            self.send(data)
        self._server.gone.set()


def _head(status: int, fields: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Loopback:
    """An HTTP server on 127.0.0.1 that answers as a function of the test says.

    Attributes:
        requests: What came in so far.
        arrived: Set when a request came in.
        gone: Set when a hanging or trickling answer found that its client has gone.
        is_over: Set at the end of the test.
    """

    def __init__(self, answer: Callable[[Exchange], None]) -> None:
        self._answer = answer
        self.requests: list[Exchange] = []
        self._connections: list[socket.socket] = []
        self.arrived = threading.Event()
        self.gone = threading.Event()
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        loopback = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                loopback._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            request_queue_size = 64
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that resets its connection is part of what is tested."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def num_connections(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        self.is_over.set()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            # Wakes the threads that wait for a next request; some sockets are closed already.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.append(connection)
            number = len(self._connections)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(30)
        with connection.makefile("rb") as reader:
            while True:
                exchange = Exchange(self, connection, number)
                if not self._read(exchange, reader):
                    return
                with self._lock:
                    self.requests.append(exchange)
                self.arrived.set()
                self._answer(exchange)
                if exchange.is_closed:
                    return

    def _read(self, exchange: Exchange, reader: Any) -> bool:
        line = reader.readline()
        if not line.strip():
            return False
        exchange.method, exchange.path, _ = line.decode("latin-1").split(" ", 2)
        while (line := reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            exchange.headers[name.lower()] = value.strip()
        exchange.body = reader.read(int(exchange.headers.get("content-length", 0)))
        return True


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any], None]], Loopback]]:
    """Starts a server whose answers a function gives: ``serve(lambda exchange: ...)``."""
    servers: list[Loopback] = []

    def start(answer: Callable[[Any], None]) -> Loopback:
        servers.append(Loopback(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Makes clients that do not wait between attempts, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(url: str, **options: Any) -> Client:
            defaults: dict[str, Any] = {"sleep": lambda _: None, "request_timeout_s": 30.0}
            options = defaults | options
            return stack.enter_context(Client(url, **options))

        yield make


@pytest.fixture
def ask() -> Callable[..., Request]:
    """Makes a request; keywords go to the request or to its sampling parameters."""

    def make(**values: Any) -> Request:
        names = {"id", "prompt", "messages", "token_ids", "api"}
        params = {name: values.pop(name) for name in set(values) - names}
        defaults: dict[str, Any] = {"id": "case[HumanEval/0]"}
        if not values.keys() & {"prompt", "messages", "token_ids"}:
            defaults["prompt"] = "The capital of France is"
        params = {"max_new_tokens": 3} | params
        return Request(params=SamplingParams(**params), **(defaults | values))

    return make


@pytest.fixture
def dead_url() -> Iterator[str]:
    """The URL of a port that is taken, but on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class ScoringServer:
    """A LightLLM with a made-up tokenizer and model; attributes bend it for one test.

    A token's log-probability depends on all tokens before it, as a model's does.

    Attributes:
        has_mode: It was started with prompt log-probabilities.
        has_start: It reads ``logprob_start_len``, as only our own server does.
        is_sentencepiece: The tokenizer puts a space before every text, as Llama's does.
        truncates: It was started with ``--long_truncation_mode head``.
        bend: Changes an answer before it is sent.
        interruptions: Answer the next requests in its place; None lets one pass.
    """

    BOS = 1
    BOS_TEXT = "<s>"

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.has_bos = True
        self.limit = 2048
        self.has_mode = True
        self.has_start = False
        self.is_sentencepiece = False
        self.is_tgi = False
        self.truncates = False
        self.bend: Callable[[dict[str, Any]], object] = lambda answer: None
        self.interruptions: list[Callable[[Exchange], None] | None] = []
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, exchange: Exchange) -> None:
        self.calls.append((exchange.path, exchange.json))
        interruption = self.interruptions.pop(0) if self.interruptions else None
        if interruption is not None:
            interruption(exchange)
        elif exchange.path == "/tokens":
            assert exchange.json["parameters"].keys() <= {"add_special_tokens"}
            adds = exchange.json["parameters"].get("add_special_tokens", True)
            exchange.reply({"ntokens": len(self.encode(exchange.json["text"], adds=adds))})
        else:
            assert exchange.path == "/generate"
            self.generate(exchange, exchange.json["inputs"], exchange.json["parameters"])

    def inputs(self) -> list[Any]:
        """What was sent to be scored or continued."""
        return [body["inputs"] for path, body in self.calls if path == "/generate"]

    # The model.

    def encode(self, text: str, *, adds: bool = False) -> list[int]:
        bos = [self.BOS] if adds and self.has_bos else []
        if self.is_sentencepiece:
            text = f" {text}"
        pattern = re.escape(self.BOS_TEXT) + r"| ?\w+|[^\w\s]|\s"
        return bos + [
            self.BOS if piece == self.BOS_TEXT else 2 + zlib.crc32(piece.encode())
            for piece in re.findall(pattern, text)
        ]

    def greedy(self, prefix: Sequence[int]) -> int:
        words = self.encode("in the end of all the things")
        return words[zlib.crc32(repr(list(prefix)).encode()) % len(words)]

    def logprob(self, prefix: Sequence[int], token_id: int) -> float:
        chance = zlib.crc32(repr([list(prefix), token_id]).encode())
        return -0.05 - chance % 90 / 100 - (0 if token_id == self.greedy(prefix) else 2)

    def value(self, ids: Sequence[int], start: int) -> float:
        """The log-probability of all tokens from a position on."""
        return sum(self.logprob(ids[:i], ids[i]) for i in range(start, len(ids)))

    # The wire.

    def generate(self, exchange: Exchange, inputs: Any, params: dict[str, Any]) -> None:
        ids = inputs
        if isinstance(inputs, str):
            ids = self.encode(inputs, adds=params["add_special_tokens"])
        room = self.limit - params["max_new_tokens"]
        if self.truncates:
            ids = ids[-room:]
        if not ids:
            self.refuse(exchange, "prompt_ids is empty")
        elif len(ids) > room:
            needed = f"{len(ids)} + max_new_tokens    {params['max_new_tokens']}"
            self.refuse(exchange, f"the input prompt token len {needed} > {self.limit}")
        elif self.dialect == "b" and params.get("prompt_logprobs", -1) >= 0 and not self.has_mode:
            self.refuse(exchange, "prompt_logprobs needs --enable_prompt_logprobs")
        else:
            answer = self.answer(list(ids), params)
            self.bend(answer)
            exchange.reply([answer] if self.is_tgi else answer)

    def refuse(self, exchange: Exchange, message: str) -> None:
        if self.dialect == "a":
            exchange.reply({"message": message}, status=417)
        else:
            exchange.reply({"error": {"message": message, "code": 400}}, status=400)

    def answer(self, ids: list[int], params: dict[str, Any]) -> dict[str, Any]:
        tokens: list[dict[str, Any]] = []
        whole = list(ids)
        for _ in range(params["max_new_tokens"]):
            token_id = self.greedy(whole)
            tokens.append({"id": token_id, "logprob": self.logprob(whole, token_id)})
            whole.append(token_id)
        found: dict[str, Any] = {"generated_text": ["?"], "prompt_tokens": len(ids)}
        if self.is_tgi:
            found |= {"generated_text": "?", "details": {"tokens": tokens}}
        elif params["return_details"]:
            found |= {"finish_reason": "length", "tokens": tokens}
        start = params.get("logprob_start_len", 0) if self.has_start else 0
        scores = [None if i < start else self.logprob(ids[:i], ids[i]) for i in range(1, len(ids))]
        if self.dialect == "a" and self.has_mode:
            pairs = zip(ids, ids[1:], scores, strict=False)
            items: list[Any] = [[left, {str(right): score}] for left, right, score in pairs]
            found |= {"prompt_token_ids": ids, "prompt_logprobs": items}
        elif self.dialect == "b" and params.get("prompt_logprobs", -1) >= 0:
            entries = [self.entry(ids, i, start, score) for i, score in enumerate(scores, 1)]
            found |= {"prompt_token_ids": ids, "prompt_logprobs": [None, *entries]}
        return found

    def entry(self, ids: list[int], position: int, start: int, score: float | None) -> Any:
        if score is None:
            return None
        is_best = ids[position] == self.greedy(ids[:position])
        rank = 1 if is_best else None if start else 9
        return {str(ids[position]): {"logprob": score, "rank": rank, "decoded_token": "?"}}


@pytest.fixture(params=["a", "b"])
def scorer(request: pytest.FixtureRequest) -> ScoringServer:
    """A server that scores given texts, in either dialect; to be given to ``serve``."""
    return ScoringServer(request.param)
