"""Sessions as those of `tests/session`."""

from tests.session.conftest import session, start

__all__ = ["session", "start"]
