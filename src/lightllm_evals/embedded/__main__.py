"""``python -m lightllm_evals.embedded``."""

from __future__ import annotations

import sys

from lightllm_evals.embedded import main

if __name__ == "__main__":
    sys.exit(main())
