"""llmtui: run, measure and chat with local GGUF models in a terminal."""

__version__ = "0.1.0"
