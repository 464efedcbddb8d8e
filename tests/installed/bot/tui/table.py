"""The bot's own table."""


def line(symbol: str, ticket: int) -> str:
    return f"{symbol} {ticket}"
