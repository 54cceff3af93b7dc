"""Intervals, paired tests, power and the bootstrap; scipy is imported when first needed."""

from lightllm_evals.stats.intervals import (
    Estimate,
    Interval,
    clustered_mean_interval,
    clustered_standard_error,
    mean_interval,
    ratio_interval,
    wilson_interval,
)
from lightllm_evals.stats.paired import (
    McNemar,
    PairedT,
    holm,
    mcnemar,
    paired_difference_interval,
    paired_t,
)
from lightllm_evals.stats.percentiles import (
    PERCENTILE_DEFINITION,
    Percentiles,
    percentile,
    percentiles,
)
from lightllm_evals.stats.power import (
    drop_power,
    samples_needed,
    smallest_visible_drop,
    smallest_visible_drop_by_t,
    tolerance_of_noise,
)
from lightllm_evals.stats.resampling import (
    bootstrap_difference_interval,
    percentile_ratio_interval,
    rate_ratio_interval,
)
from lightllm_evals.stats.units import (
    Unit,
    bare_text,
    change_text,
    change_unit,
    is_lower_better,
    score_of,
    unit_of,
    value_text,
)

__all__ = [
    "PERCENTILE_DEFINITION",
    "Estimate",
    "Interval",
    "McNemar",
    "PairedT",
    "Percentiles",
    "Unit",
    "bare_text",
    "bootstrap_difference_interval",
    "change_text",
    "change_unit",
    "clustered_mean_interval",
    "clustered_standard_error",
    "drop_power",
    "holm",
    "is_lower_better",
    "mcnemar",
    "mean_interval",
    "paired_difference_interval",
    "paired_t",
    "percentile",
    "percentile_ratio_interval",
    "percentiles",
    "rate_ratio_interval",
    "ratio_interval",
    "samples_needed",
    "score_of",
    "smallest_visible_drop",
    "smallest_visible_drop_by_t",
    "tolerance_of_noise",
    "unit_of",
    "value_text",
    "wilson_interval",
]
