"""This checkout's choices; the plugin itself loads by its entry point."""

from __future__ import annotations

# Tests of the plugin run pytest inside pytest.
pytest_plugins = ["pytester"]
