"""Readers of this machine: CPU, memory, GPUs, accelerators, energy, condition, and why a GPU is missing.

Never judges whether a model fits, and keeps no history but the one of speed.

Begin with `host.py` and `gpu.py` for live figures; `readings.py` for what they give.
"""
