"""Models that other programs have downloaded, used where they lie: one file for each program, all behind the small
protocol of `modelstore.py`; `known.py` has the list. Nothing here writes or moves a byte of theirs; what a person wants
deleted is `tui.models.remove`'s."""
