"""Conversations that other programs have exported: ChatGPT, LM Studio, Open WebUI, and OpenAI's messages.

Begin with `reading.py`, which tells what a file is; each format has a file of its own that makes `nodes.Node`s of it,
and `assembling.py` makes conversations of these. Nothing that a file says is trusted.
"""
