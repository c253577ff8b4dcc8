"""Fetching models: part files that outlive a broken line and a killed process, sums, space, a queue.

Never asks a hub what it has (`tui.hubs` does), never loads what it fetched, never draws.

Begin with `interface.py`: what a front end asks for and is told; `records.py` for what that is made of. `fetching.py`
fetches one order here and now; `queue.py` works through those that lie on the disk (`shelf.py`).
"""
