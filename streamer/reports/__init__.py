"""Reports of a day or a month out of a journal: profit, drawdown, groups of trades, gates.

Commands import ``build`` and ``as_text`` from ``report`` and ``as_html`` from ``html``.
"""
