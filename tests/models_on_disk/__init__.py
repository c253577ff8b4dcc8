"""GGUF headers, the library of models and the memory formula."""
