"""How far a run is, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightllm_evals.runner import Progress

_MOST_SHOWN = 5


def progress_line(progress: Progress, counts: Mapping[str, int]) -> str:
    """Returns the state of a run in one line.

    Args:
        progress: How far generation is.
        counts: Finished cases by outcome: passed, failed, error, skipped.
    """
    done = sum(counts.values())
    scored = counts.get("passed", 0) + counts.get("failed", 0)
    parts = [f"{done}/{progress.planned} done"]
    if scored:
        parts.append(f"{100 * counts.get('passed', 0) / scored:.1f} % passed")
    parts += [f"{progress.in_flight} in flight", f"{progress.tokens_per_s:.0f} tokens/s"]
    if errors := counts.get("error"):
        parts.append(f"{errors} error{'s' if errors > 1 else ''}")
    if 0 < done < progress.planned:
        left_s = progress.elapsed_s * (progress.planned - done) / done
        parts.append(f"{duration(left_s)} left")
    return ", ".join(parts)


def stall_line(progress: Progress) -> str:
    """Returns what a run that makes no progress is waiting for."""
    oldest = [f"{each.request_id} ({duration(each.age_s)})" for each in progress.in_flight_ids]
    more = len(oldest) - _MOST_SHOWN
    shown = ", ".join(oldest[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"nothing completed for {duration(progress.since_last_completion_s)}; in flight: {shown}"
    )


def duration(seconds: float) -> str:
    """Returns a duration as 45 s, 3 min 05 s or 2 h 10 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
