"""The bot's own signal."""


class Signal:
    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
