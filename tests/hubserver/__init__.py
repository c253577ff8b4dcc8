"""A hub of models on 127.0.0.1 that speaks the protocols of Hugging Face and ModelScope as their client libraries use
them, with faults on demand. Begin with `server.py`."""
