"""What was read of a conversation: its tokens, kept in step with llama.cpp's memory, and how far back it can go. Where
that memory cannot be cut at any place, checkpoints are taken where a later prompt is likely to part from this one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from tui.engine.checkpoints import Checkpoint, Checkpoints, Snapshot, room_now
from tui.engine.llama import Session

MARK_TOKENS = 512
"""Between borders there is no checkpoint for fewer tokens than this."""
MARK_SHARE = 100
"""Between borders, checkpoints take one in so many seconds at most."""
MOST_WINDOW_S = 0.5
"""Where there is mostly another way back, a checkpoint that took longer is the last one."""


class PrefixCache:
    """A session together with the tokens that its memory holds."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cached: list[int] = []
        self.n_warm = 0
        """The most tokens that were evaluated at once."""
        self._checkpoints = Checkpoints()
        self._borders: list[int] = []
        self._marked = 0.0
        self._mark_s = 0.0

    @property
    def needs_borders(self) -> bool:
        """Whether `expect` makes a difference."""
        return self.session.memory.needs_checkpoints

    @property
    def cuts_anywhere(self) -> bool:
        """What was taken over from elsewhere can be gone on from at any place."""
        return not self.session.memory.needs_checkpoints

    def would_keep(self, tokens: Sequence[int]) -> int:
        """What `reuse` would return; nothing is changed."""
        n = shared(self.cached, tokens[:-1])
        if n == len(self.cached) or self.session.memory.can_forget_from(n):
            return n
        before = self._checkpoints.nearest(n)
        return before.n_past if before else 0

    def reuse(self, tokens: Sequence[int]) -> int:
        """Keep what of the longest common prefix with this prompt can be kept, at least one token short of the whole
        prompt (its logits are needed). Returns how many tokens were kept."""
        n = shared(self.cached, tokens[:-1])
        if n < len(self.cached):
            self._go_back(n)
        self._borders = []
        return len(self.cached)

    def expect(self, borders: Iterable[int]) -> None:
        """Later prompts are likely to part from the one that is read now at these places."""
        self._borders = sorted(border for border in borders if border > len(self.cached))

    def step(self, n_most: int) -> int:
        """How many tokens to evaluate at once, so that a border is not passed over."""
        n = len(self.cached)
        return min((n_most, *(border - n for border in self._borders if border > n)))

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Decode tokens behind the cached ones and remember them."""
        self.session.decode(tokens)
        self.cached.extend(tokens)
        self.n_warm = max(self.n_warm, len(tokens))

    def mark(self) -> None:
        """Take a checkpoint, if this is a place for one. Between two tokens; waits for what is computed."""
        if not self.session.memory.needs_checkpoints:
            return
        n = len(self.cached)
        is_border = n in self._borders
        if self.session.memory.mostly_goes_back and self._mark_s > MOST_WINDOW_S:
            return
        if not is_border:
            if self.session.memory.mostly_goes_back:
                return
            last = self._checkpoints.nearest(n)
            if n - (last.n_past if last else 0) < MARK_TOKENS:
                return
            if time.perf_counter() - self._marked < MARK_SHARE * self._mark_s:
                return
        started = time.perf_counter()
        held = self._checkpoints.n_bytes
        room = room_now(held, self.session.mapped_bytes)
        if self.session.memory.n_part_bytes > room:
            return
        state = self.session.memory.save_part()
        self._checkpoints.add(Checkpoint(n_past=n, state=state, is_border=is_border))
        self._checkpoints.fit(room)
        self._marked = time.perf_counter()
        self._mark_s = self._marked - started

    def resynchronize(self) -> None:
        """After an abort or an error: believe what llama.cpp says that it kept, as far as our list reaches."""
        n = self.session.memory.n_past
        if n != len(self.cached):
            self._go_back(min(n, len(self.cached)))

    def forget(self) -> None:
        """Nothing is kept any more: something else uses the session."""
        self.cached.clear()
        self._checkpoints = Checkpoints()

    def _go_back(self, n: int) -> None:
        """Forget what was read behind `n` tokens, and where that cannot be, behind the last checkpoint before."""
        memory = self.session.memory
        if not memory.forget_from(n):
            before = self._checkpoints.nearest(n)
            if before is not None and memory.restore_part(before.state, before.n_past):
                n = before.n_past
            else:
                memory.clear()
                n = 0
        del self.cached[n:]
        self._checkpoints.forget_after(n)

    # Elsewhere --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All that is known, to be taken over elsewhere."""
        state = self.session.memory.save() if self.cached else bytearray()
        return Snapshot(tokens=list(self.cached), state=state, checkpoints=self._checkpoints.kept)

    def take_over(self, snapshot: Snapshot) -> bool:
        """Put it in place of what there is. False, and empty, where it does not go with the session."""
        self.forget()
        memory = self.session.memory
        if not (memory.restore(snapshot.state) and memory.n_past == len(snapshot.tokens)):
            memory.clear()
            return False
        self.cached = list(snapshot.tokens)
        if memory.needs_checkpoints:
            self._checkpoints = Checkpoints(snapshot.checkpoints)
        return True


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two begin with alike."""
    differ = (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    return next(differ, min(len(one), len(other)))
