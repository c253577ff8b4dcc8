"""What a benchmark measures: runner, statistics, roofline, charts, history, the search for the fastest settings. Both
front ends use it.

Never prints.

Begin with `runner.py` for how it is measured, `report.py` for what is found.
"""
