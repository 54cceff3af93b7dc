"""The exception tree: everything the harness itself can fail with.

    HarnessError
      ConfigError                what was asked for makes no sense; the plugin exits with status 4
      DatasetError               samples missing, wrong checksum, malformed record
        DatasetMissingError      not on this machine; the plugin skips the module
      ServerError                a server that we start, or its state as a whole
        ServerStartError         did not come up; carries command, exit code, log tail
        ServerDiedError          came up and is gone
      RequestError               one request got no usable answer; carries request id and URL
        ServerUnreachableError   no connection, or every attempt broke
        RequestTimeoutError      the deadline passed
        BadResponseError         an answer that is not LightLLM's, or is incomplete
        RequestRejectedError     the server says that the request is wrong; never retried
          PromptTooLongError     prompt and max_new_tokens do not fit; carries both numbers
        RequestCancelledError    we ended it ourselves (interrupt, -x, broken circuit)
      SandboxError               the sandbox failed (a program that fails inside it is a score)

A wrong answer is a score and has no place here. Every one of these makes a case a pytest
*error*: the sample was not measured.
"""

from __future__ import annotations


class HarnessError(Exception):
    """Anything that keeps the harness from measuring; its text is one clear sentence."""


class ConfigError(HarnessError):
    """The request makes no sense as given; says what to give instead."""


class DatasetError(HarnessError):
    """Samples are missing, have another checksum than expected, or cannot be read."""


class DatasetMissingError(DatasetError):
    """A data set is not on this machine; says in one sentence how to get it."""


class ServerError(HarnessError):
    """A server as a whole cannot be used.

    Attributes:
        command: The command line that we started, if any.
        exit_code: Its exit code, if it ended.
        log_tail: The last lines that it wrote.
    """

    def __init__(
        self,
        message: str,
        command: tuple[str, ...] = (),
        exit_code: int | None = None,
        log_tail: str = "",
    ) -> None:
        # All arguments go up, so that the exception survives pickling.
        super().__init__(message, command, exit_code, log_tail)
        self.command = command
        self.exit_code = exit_code
        self.log_tail = log_tail

    def __str__(self) -> str:
        parts = [str(self.args[0])]
        if self.command:
            parts.append(f"command: {' '.join(self.command)}")
        if self.exit_code is not None:
            parts.append(f"exit code: {self.exit_code}")
        if self.log_tail:
            parts.append(f"last lines of its log:\n{self.log_tail}")
        return "\n".join(parts)


class ServerStartError(ServerError):
    """The server did not become ready."""


class ServerDiedError(ServerError):
    """The server was ready and is gone."""


class RequestError(HarnessError):
    """One request got no usable answer.

    Attributes:
        request_id: The id of the request, "" where there is none.
        url: Where it was sent.
    """

    def __init__(self, message: str, request_id: str = "", url: str = "") -> None:
        super().__init__(message, request_id, url)
        self.request_id = request_id
        self.url = url

    def __str__(self) -> str:
        return str(self.args[0])


class ServerUnreachableError(RequestError):
    """No connection could be made, or every attempt broke."""


class RequestTimeoutError(RequestError):
    """The deadline passed before the answer was complete."""


class BadResponseError(RequestError):
    """What came back is not a LightLLM answer, or not all of one."""


class RequestRejectedError(RequestError):
    """The server says that this request is wrong; asking again cannot help."""


class PromptTooLongError(RequestRejectedError):
    """Prompt and max_new_tokens together do not fit the server's limit."""


class RequestCancelledError(RequestError):
    """We ended the request ourselves."""


class SandboxError(HarnessError):
    """The sandbox could not judge a program, so the program has no score."""
