"""Markets of the paper terminal: generated, recorded and scripted quotes, their bars and clocks.

The other rooms of ``paper`` import it; backtests import ``clock`` and ``replay``.
"""
