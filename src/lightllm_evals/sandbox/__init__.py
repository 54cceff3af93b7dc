r"""Judges model-written programs without trusting them.

    with Sandbox() as sandbox:
        verdict = sandbox.run("def triple(x):\\n    return 3 * x\\n", "assert triple(2) == 6")

See docs/sandbox.md for the threat model and the levels of isolation.
"""

from lightllm_evals.sandbox.isolation import Isolation
from lightllm_evals.sandbox.sandbox import Sandbox
from lightllm_evals.sandbox.verdict import Verdict

__all__ = ["Isolation", "Sandbox", "Verdict"]
