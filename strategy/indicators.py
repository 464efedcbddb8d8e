"""Alias of ``strategy.institutional.indicators`` for strategies that are written against it."""

from .institutional.indicators import (
    resumed,
    running_total,
    smoothed,
    trailing_mean,
    true_range,
    wilder,
)

__all__ = ["resumed", "running_total", "smoothed", "trailing_mean", "true_range", "wilder"]
