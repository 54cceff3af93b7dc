"""A stand-in for LightLLM's launcher: its start-up order, ports, log lines and ways to die.

It holds no model. The variable STANDIN_GENERATION chooses the generation of 2025 ("a") or 2026
("b"), STANDIN_DEATH a way to die. Every process ends by itself after three minutes, whatever
happens to the test.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIFETIME_S = 180
GENERATION = os.environ.get("STANDIN_GENERATION", "a")
DEATH = os.environ.get("STANDIN_DEATH", "")


def log(level: str, where: str, text: str) -> None:
    # In one write: several processes share the log.
    os.write(2, f"{level} 11-23 16:22:47 [{where}] {text}\n".encode())


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="api_server.py")
    add = result.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8000)
    add("--model_name", default="default_model_name", help="just help to distinguish")
    add("--model_dir", help="the model weight dir path, the app will load config from this dir")
    add("--max_total_token_num", type=int, help="equals = max_batch * (input_len + output_len)")
    add("--eos_id", nargs="+", type=int, help="eos stop token id")
    add("--tp", type=int, default=1, help="model tp parral size, the default is 1")
    add("--max_req_total_len", type=int, default=16384)
    add("--nccl_port", type=int, default=28765 if GENERATION == "a" else None)
    add("--trust_remote_code", action="store_true", help="Whether or not to allow custom models")
    add("--disable_dynamic_prompt_cache", action="store_true")
    add("--disable_chunked_prefill", action="store_true")
    if GENERATION == "a":
        add("--mode", nargs="+", default=[], help="Model mode: [triton_int8kv | ppl_int8kv]")
        add("--chunked_prefill_size", type=int, default=4096)
        add("--return_all_prompt_logprobs", action="store_true")
        add("--visual_nccl_ports", type=int, nargs="+", default=[29500])
        add("--visual_dp", type=int, default=1)
    else:
        add("--chunked_prefill_size", type=int)
        add("--enable_prompt_logprobs", action="store_true")
        add("--llm_kv_type", choices=["None", "int8kv"], default="None")
    return result


def check(args: argparse.Namespace) -> None:
    if GENERATION == "a":
        if args.return_all_prompt_logprobs:
            assert args.disable_dynamic_prompt_cache, "need add --disable_dynamic_prompt_cache"
            assert args.disable_chunked_prefill
        if not args.disable_chunked_prefill:
            assert args.max_req_total_len >= args.chunked_prefill_size
    for port in [args.port, args.nccl_port, *getattr(args, "visual_nccl_ports", [])]:
        with socket.socket() as probe:
            if GENERATION == "a":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                if GENERATION == "a":
                    raise
                log("ERROR", "net_utils.py:38", f"port {port} has been used")
                raise SystemExit(1) from error


def spawn(run: Callable[[], None], *, is_escaping: bool = False) -> int:
    """Forks a process that ignores SIGTERM, as LightLLM's children do."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(LIFETIME_S)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if is_escaping:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.alarm(LIFETIME_S)
    else:
        with Path(os.environ["STANDIN_DIR"], "pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
    log("DEBUG", "standin", f"member {os.getpid()}")
    try:
        run()
    finally:
        os._exit(1)


def idle() -> None:
    while True:
        signal.pause()


def until_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.02)


def model(args: argparse.Namespace) -> None:
    """The inference process: loads, then serves until it is told to die."""
    with socket.socket() as nccl:
        nccl.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if args.nccl_port:
            nccl.bind(("", args.nccl_port))
            nccl.listen()
        if DEATH == "load":
            for _ in range(3):
                log("ERROR", "model_rpc.py:102", "FileNotFoundError: model.safetensors")
            log("ERROR", "model_rpc.py:106", "infer process error to exit")
            return
        if DEATH == "load-silently":
            return
        if DEATH == "slow":
            until_file(os.environ["STANDIN_GATE"])
        if DEATH == "never":
            idle()
        Path(os.environ["STANDIN_DIR"], "loaded").touch()
        until_file(os.environ["STANDIN_DIR"] + "/die")
    if GENERATION == "a":
        log("ERROR", "model_rpc.py:203", "Batch prefill encountered an unexpected ERROR: ")
        log("ERROR", "model_rpc.py:203", "AssertionError")
    else:
        log("ERROR", "start_utils.py:120", "Critical LightLLM submodule exited: router")


def router(args: argparse.Namespace) -> None:
    pid = spawn(lambda: model(args))
    os.waitpid(pid, 0)
    if GENERATION == "a":
        idle()


class Handler(BaseHTTPRequestHandler):
    health_statuses = json.loads(os.environ.get("STANDIN_HEALTH", "[]"))

    def do_GET(self) -> None:
        status = self.health_statuses.pop(0) if self.health_statuses else 200
        if status is None:
            idle_forever()
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_request(self, code: object = "-", size: object = "-") -> None:
        log("INFO", "api_http.py:1", f"{self.requestline} {code}")


def idle_forever() -> None:
    time.sleep(LIFETIME_S)


def front_end(args: argparse.Namespace) -> None:
    if DEATH == "front-end":
        os.write(2, b"[2026-11-23 16:24:04 +0000] [9] [ERROR] Worker failed to boot.\n")
        return
    log("INFO", "api_http.py:334", "server start up")
    server = ThreadingHTTPServer((args.host, args.port), Handler)
    log("INFO", "api_http.py:338", "server start up ok, loop use is <uvloop.Loop>")
    last = "Application startup complete." if GENERATION == "a" else "Running on http://"
    os.write(2, f"[2026-11-23 16:24:11 +0000] [INFO] {last}\n".encode())
    server.serve_forever()


def leave_files(name: str) -> None:
    Path(f"/dev/shm/{name}_req_shm_total").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as queue:
        queue.bind(f"/tmp/_{name}_127.0.0.1:7")


def main() -> None:
    signal.alarm(LIFETIME_S)
    args = parser().parse_args()
    if DEATH == "stolen-port-once":
        first = Path(os.environ["STANDIN_DIR"], "tried")
        if not first.exists():
            first.touch()
            raise OSError(98, "Address already in use")
    check(args)
    name = f"{args.nccl_port}_0" if GENERATION == "a" else f"{secrets.token_hex(8)}_0"
    log("INFO", "api_start.py:79", f"zmq mode head: ipc:///tmp/_{name}_")
    log("INFO", "api_start.py:233", f"all start args:{args}")
    leave_files(name)
    for old in ("loaded", "pids"):
        Path(os.environ["STANDIN_DIR"], old).unlink(missing_ok=True)
    children = [spawn(idle)]
    log("INFO", "start_utils.py:37", "init func start_metric_manager : init ok")
    children += [spawn(lambda: router(args)), spawn(idle)]
    signal.signal(signal.SIGTERM, lambda _number, _frame: end())
    if DEATH == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        spawn(idle, is_escaping=True)
    wait_for_model(children)
    log("INFO", "start_utils.py:37", "init func start_router_process : init ok")
    log("INFO", "start_utils.py:37", "init func start_detokenization_process : init ok")
    children.append(spawn(lambda: front_end(args)))
    supervise(children)


def wait_for_model(children: list[int]) -> None:
    while not Path(os.environ["STANDIN_DIR"], "loaded").exists():
        if GENERATION == "b":
            exit_if_dead(children)
        time.sleep(0.02)


def supervise(children: list[int]) -> None:
    while True:
        if GENERATION == "b":
            exit_if_dead(children)
        time.sleep(0.02)


def exit_if_dead(children: list[int]) -> None:
    if any(os.waitpid(pid, os.WNOHANG)[0] for pid in children):
        log("ERROR", "start_utils.py:120", "Critical LightLLM submodule exited")
        os._exit(1)


def end() -> None:
    log("INFO", "api_start.py:33", "Received SIGTERM, shutting down gracefully...")
    for pid in Path(os.environ["STANDIN_DIR"], "pids").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    log("INFO", "api_start.py:51", "All processes have been terminated gracefully.")
    sys.exit(0)


if __name__ == "__main__":
    main()
