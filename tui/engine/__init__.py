"""The engine process: loads a model, answers, measures, tells. Alone knows llama.cpp.

Never imported by what runs in another process: they speak through `tui.protocol`.

Begin with `worker.py`, its main loop; `generate.py` for an answer, `llama.py` for a model.
"""
