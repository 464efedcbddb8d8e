"""The bot's own way to its terminal."""

from strategy.signals import Signal


class MT5Client:
    def send(self, signal: Signal) -> int:
        return 1000 + len(signal.symbol)
