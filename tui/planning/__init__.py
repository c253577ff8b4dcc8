"""Does it fit: what a load takes by formula, held against what is free, place by place; which changes would make it
fit; the fastest settings that do.

Never loads anything; who can ask llama.cpp is handed in (`exact.Planner`).

Begin with `guardrail.py`, whose `may_load` is the one answer for every front end; `verdict_words.py` says it.
Below them: `formula.py` for what a load takes (`placement.py`: which layer lies where), `verdict.py` for whether that
fits, `search.py` and `remedies.py` for what would.
"""
