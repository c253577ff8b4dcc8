"""Several requests at a time, in threads that do not keep llmtui from ending: a hub that says nothing is waited for
many seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


def as_they_come(jobs: Mapping[_K, Callable[[], _V]]) -> Iterator[tuple[_K, _V]]:
    """What each job gives, the quickest first; raises what one of them raises. Whoever stops asking leaves the others
    to themselves."""
    done: SimpleQueue[tuple[_K, Callable[[], _V]]] = SimpleQueue()
    for key, job in jobs.items():
        threading.Thread(target=_run, args=(key, job, done), name="hub", daemon=True).start()
    for _ in jobs:
        key, result = done.get()
        yield key, result()


def _run(key: _K, job: Callable[[], _V], done: SimpleQueue[tuple[_K, Callable[[], _V]]]) -> None:
    try:
        value = job()
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        raised = error

        def fail() -> _V:
            raise raised

        done.put((key, fail))
    else:
        done.put((key, lambda: value))
