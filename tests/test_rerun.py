from __future__ import annotations

from lightllm_evals.rerun import rerun_command


def test_the_command_has_the_cases_and_what_their_answers_depend_on() -> None:
    args = [
        "evals/",
        "-n",
        "8",
        "--lightllm-url",
        "http://gpu-box:1030",
        "--lightllm-stream",
        "evals/test_x.py",
        "--lightllm-gate",
        "toy: drop<=2",
        "--lightllm-limit=5",
        "--lightllm-save-baseline",
        "--lightllm-api=chat",
    ]
    assert rerun_command(["t.py::test[a/1]"], args, flags={"--lightllm-stream"}) == (
        "pytest 't.py::test[a/1]' --lightllm-url http://gpu-box:1030 --lightllm-stream "
        "--lightllm-api=chat"
    )
