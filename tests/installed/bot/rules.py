"""A strategy for mt5dash that imports a module of the bot's own."""

import math
from collections.abc import Sequence

from strategy.signals import Signal

from strategy.base import Bars, Context, Setup
from strategy.settings import StrategySettings


class Rules:
    name = "rules"
    timeframes = ("M1",)

    def __init__(self, settings: StrategySettings) -> None:
        self.settings = settings

    def prepare(self, fresh: Sequence[Bars]) -> None: ...

    def evaluate(self, context: Context) -> Setup:
        return Setup(Signal(context.symbol).symbol, score=math.nan)
