"""What is known of one server: how much it takes, and whether it is there."""

from __future__ import annotations

from enum import Enum, auto

# A round with fewer refusals than twice this share still grows. So one random 503 in ten does not
# throttle a run, while a server that is really full settles with a seventh of the attempts
# refused, which a client's own retries absorb.
GROWTH = 0.07
# The limit stays above this share of its ceiling: a client that waits between its attempts spares
# the server already, and most of what is in flight then is such a wait.
LEAST_SHARE = 1 / 8
LONGEST_PAUSE_S = 60.0
# This many rounds of failure, without a success in between, count as gone.
LAST_ROUND = 3


class Health(Enum):
    """Where a replica stands between working and given up."""

    UP = auto()
    ASIDE = auto()
    CHECKING = auto()
    TRIAL = auto()


class Replica:
    """One server's load, its limit and its health.

    The limit follows refusals (429, 503) as in AIMD, but a round at a time and in proportion to
    the share refused, as DCTCP does it (https://www.rfc-editor.org/rfc/rfc8257): halving at each
    single refusal would keep a server with a few random ones nearly idle.

    A failure to connect puts the replica aside for a pause. Then a connection is tried, then one
    request alone; every failure of these is another round and doubles the pause.
    """

    def __init__(self, index: int, *, ceiling: int, first_pause_s: float) -> None:
        self.index = index
        self.in_flight = 0
        self.num_sent = 0
        self.limit = float(ceiling)
        self.health = Health.UP
        self._aside_until: float | None = None
        self._is_check_under_way = False
        # Cached prefixes are lost with the process: those of an older epoch count as cold.
        self.epoch = 0
        self._ceiling = ceiling
        self._first_pause_s = first_pause_s
        self._failed_rounds = 0
        self._trial: str | None = None
        self._num_answers = 0
        self._num_refusals = 0

    def __repr__(self) -> str:
        return (
            f"Replica({self.index}, {self.health.name}, in_flight={self.in_flight}, "
            f"limit={self.limit:.1f}, failed_rounds={self._failed_rounds})"
        )

    @property
    def has_room(self) -> bool:
        """Whether it may be sent one more request now."""
        if self.health is Health.UP:
            return self.in_flight < int(self.limit)
        return self.health is Health.TRIAL and self._trial is None

    @property
    def is_gone(self) -> bool:
        """Whether it failed so often in a row that it is given up."""
        return self._failed_rounds >= LAST_ROUND

    @property
    def load(self) -> tuple[int, int]:
        """What to compare for the least loaded; ties go to who got fewer so far."""
        return self.in_flight, self.num_sent

    def sent(self, request_id: str) -> None:
        """Notes a request that is on its way to it."""
        self.in_flight += 1
        self.num_sent += 1
        if self.health is Health.TRIAL:
            self._trial = request_id

    def refused(self) -> None:
        """Notes a 429 or 503."""
        self._num_refusals += 1
        self._count_answer()

    def answered(self) -> None:
        """Notes that a request is back with an answer of some kind: the server is there."""
        self.in_flight -= 1
        if self.health is not Health.UP:
            self._revive()
        self._count_answer()

    def timed_out(self, request_id: str) -> None:
        """Notes that a request is back without an answer, which proves nothing by itself."""
        self.in_flight -= 1
        if request_id == self._trial:
            self._revive()

    def unreachable(self, request_id: str, now: float) -> None:
        """Notes that a request could not reach it."""
        self.in_flight -= 1
        # Requests that were sent before it was put aside fail one by one: all one round.
        if self.health is Health.UP or request_id == self._trial:
            self._put_aside(now)

    @property
    def retry_at(self) -> float | None:
        """When to check it, None if it needs none or one is under way."""
        return None if self._is_check_under_way else self._aside_until

    def is_due(self, now: float) -> bool:
        """Whether its pause is over."""
        return self.retry_at is not None and now >= self.retry_at

    def start_check(self) -> None:
        """Notes that somebody finds out whether it accepts connections."""
        self.health = Health.CHECKING
        self._aside_until = None
        self._is_check_under_way = True

    def checked(self, is_reachable: bool, now: float) -> None:
        """Notes what the check found; too late if an answer or another failure came first."""
        self._is_check_under_way = False
        if self.health is not Health.CHECKING:
            return
        if is_reachable:
            self.health = Health.TRIAL
        else:
            self._put_aside(now)

    def _put_aside(self, now: float) -> None:
        pause_s = self._first_pause_s * 2.0**self._failed_rounds
        self._failed_rounds = min(self._failed_rounds + 1, 30)
        self._trial = None
        self.health = Health.ASIDE
        self._aside_until = now + min(pause_s, LONGEST_PAUSE_S)
        self.epoch += 1

    def _revive(self) -> None:
        self.health = Health.UP
        self._aside_until = None
        self._failed_rounds = 0
        self._trial = None

    def _count_answer(self) -> None:
        self._num_answers += 1
        if self._num_answers < self.limit:
            return
        share_refused = self._num_refusals / self._num_answers
        growth = max(1.0, self.limit * GROWTH)
        limit = self.limit * (1.0 - share_refused / 2.0) + growth
        self.limit = min(max(limit, 1.0, self._ceiling * LEAST_SHARE), float(self._ceiling))
        self._num_answers = self._num_refusals = 0
