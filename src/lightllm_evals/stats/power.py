"""How small a drop a paired comparison can see, and how many samples a given drop needs.

The model: of identical runs a share ``flip_rate`` of the samples differs, half of them broken and
half of them fixed, since nothing favours either. A real drop comes on top: it breaks samples that
noise would have left alone. The rule that is judged is the gate's: a drop is seen when McNemar's
exact one-sided p is at most alpha and the observed drop exceeds the tolerance.
"""

# ruff: noqa: PLC0415  # numpy and scipy take half a second: only runs with evals pay for them.
from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NEGLIGIBLE = 1e-10
_MOST_SAMPLES = 10_000_000
_ROUNDING = 1e-9


def drop_power(
    num_samples: int,
    broken_rate: float,
    fixed_rate: float,
    alpha: float = 0.05,
    tolerance: float = 0.0,
) -> float:
    """Returns the probability that a run shows a drop by the gate's rule, computed exactly.

    Each sample breaks with probability ``broken_rate``, is fixed with ``fixed_rate``, and keeps
    its verdict otherwise. The number of flips is binomial, and given it so are the broken ones;
    the sum runs over both. 0 without samples.

    Source: S. W. Duffy, "Asymptotic and exact power for the McNemar test and its analogue with
    R controls per case", Biometrics 40 (1984), https://doi.org/10.2307/2531151; distributions by
    scipy's ``binom``.
    """
    import numpy as np
    from scipy.stats import binom

    flip_rate = min(1.0, broken_rate + fixed_rate)
    if num_samples == 0 or flip_rate <= 0:
        return 0.0
    # Numbers of flips outside of this range have no weight that could be seen in the sum.
    fewest = int(binom.ppf(_NEGLIGIBLE, num_samples, flip_rate))
    most = int(binom.isf(_NEGLIGIBLE, num_samples, flip_rate))
    flips = np.arange(max(0, fewest), min(num_samples, most) + 1)
    needed = _fewest_broken(flips, alpha, tolerance * num_samples)
    seen = binom.sf(needed - 1, flips, min(1.0, broken_rate / flip_rate))
    return float(np.sum(binom.pmf(flips, num_samples, flip_rate) * seen))


def smallest_visible_drop(
    num_samples: int,
    flip_rate: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    tolerance: float = 0.0,
    pass_rate: float = 1.0,
) -> float | None:
    """Returns the smallest true drop, in (0, 1], that a run shows with probability ``power``.

    None when even the largest possible drop, all that passed (``pass_rate``), would not be seen
    that often: such a run cannot answer the question.
    """
    if num_samples == 0:
        return None

    def excess(drop: float) -> float:
        return (
            drop_power(num_samples, flip_rate / 2 + drop, flip_rate / 2, alpha, tolerance) - power
        )

    largest = min(pass_rate, 1 - flip_rate)
    if largest <= 0 or excess(largest) < 0:
        return None
    return _root(excess, _NEGLIGIBLE, largest)


def samples_needed(
    drop: float,
    flip_rate: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    tolerance: float = 0.0,
) -> int | None:
    """Returns how many samples show a true ``drop`` in (0, 1] with probability ``power``.

    Found by bisection; exact power moves up and down by a little from one n to the next, so a
    few smaller n may do as well. None when none would do: the drop is within the tolerance.
    """

    def is_enough(num_samples: int) -> bool:
        broken_rate = flip_rate / 2 + drop
        return drop_power(num_samples, broken_rate, flip_rate / 2, alpha, tolerance) >= power

    if drop <= tolerance:
        return None
    high = 1
    while not is_enough(high):
        high *= 2
        if high > _MOST_SAMPLES:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def smallest_visible_drop_by_t(
    standard_error: float,
    degrees_of_freedom: int,
    num_samples: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    tolerance: float = 0.0,
    is_share: bool = True,
) -> float | None:
    """Returns the smallest true drop that the paired t test shows with probability ``power``.

    ``standard_error`` is that of the observed difference. A drop of a share adds variance of
    its own, at most when it breaks samples entirely: drop / num_samples; None when no drop up to
    1 would do. Of what is no share the drop is taken to be the same in every sample, and there
    is none to be seen where the observed differences did not vary.

    Source: the usual normal-theory formula, (t_alpha + t_power) standard errors; for evals:
    E. Miller, "Adding Error Bars to Evals" (2024), section 5, https://arxiv.org/abs/2411.00640.
    """
    from scipy.stats import t

    if degrees_of_freedom < 1 or math.isnan(standard_error):
        return None
    to_reject, to_reach = (float(t.ppf(q, degrees_of_freedom)) for q in (1 - alpha, power))
    if not is_share:
        drop = max(to_reject * standard_error, tolerance) + to_reach * standard_error
        return drop if standard_error > 0 else None

    def excess(drop: float) -> float:
        error = math.sqrt(standard_error**2 + drop / num_samples)
        return drop - max(to_reject * error, tolerance) - to_reach * error

    return _root(excess, 0.0, 1.0) if excess(1.0) >= 0 else None


def tolerance_of_noise(num_samples: int, flip_rate: float, alpha: float = 0.05) -> float:
    """Returns the tolerance that noise alone exceeds with a probability of at most ``alpha``.

    In (0, 1], a whole number of samples and at least one of them.
    """
    allowed, high = 0, num_samples
    while high - allowed > 1:
        middle = (allowed + high) // 2
        exceeds = drop_power(num_samples, flip_rate / 2, flip_rate / 2, 1.0, middle / num_samples)
        allowed, high = (allowed, middle) if exceeds <= alpha else (middle, high)
    return high / num_samples


def _fewest_broken(flips: NDArray[np.int_], alpha: float, tolerated: float) -> NDArray[np.float64]:
    """Returns how many of each number of flips must be broken for a drop to be seen."""
    import numpy as np
    from scipy.stats import binom

    # isf's smallest k has P(X > k) <= alpha, so that k + 1 or more broken are significant.
    significant = np.asarray(binom.isf(alpha, flips, 0.5)) + 1.0
    beyond_tolerance = np.floor((flips + tolerated + _ROUNDING) / 2) + 1
    needed: NDArray[np.float64] = np.maximum(significant, beyond_tolerance)
    return needed


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    if excess(low) >= 0:
        return low
    return float(brentq(excess, low, high, xtol=1e-9))
