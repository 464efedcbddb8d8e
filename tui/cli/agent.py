"""``mt5dash agent``: the far end of the backend ``agent``, run where MetaTrader 5 is."""

from __future__ import annotations

import typer


def agent(
    context: typer.Context,
) -> None:
    """Serve a real MetaTrader 5 terminal over a socket; runs where the terminal is."""
    from execution.agent import main

    raise typer.Exit(main(list(context.args)))
