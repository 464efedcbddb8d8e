"""The functions of the MetaTrader5 package over a paper market and account.

``paper`` exports ``PaperTerminal``; everything else here is private to it.
"""
