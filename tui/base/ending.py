"""Which signals end a program that does not hear them, for what has something to save or a terminal to give back."""

from __future__ import annotations

import signal

ASKED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""What people, shells and systems send for that."""
OTHERS = tuple(
    signal.Signals[name]
    for name in (
        *("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF"),
        *("SIGXCPU", "SIGIO", "SIGPWR", "SIGSTKFLT"),
    )
    if name in signal.Signals.__members__
)
"""What ends a program by default too: batch systems send the first two and SIGXCPU before its time is over. Not those
that a crash sends: Python hears them too late."""
