"""The ``lightllm-evals`` command."""
