"""Does it fit: what a load takes by formula, held against what is free, place by place; which changes would make it
fit; the fastest settings that do.

Never loads anything; who can ask llama.cpp is handed in (`exact.Planner`).

Begin with `formula.py` for what a load takes, `verdict.py` for whether that fits, `search.py` for what would.
"""
