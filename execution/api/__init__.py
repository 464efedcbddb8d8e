"""Room: the MetaTrader 5 API as it is: names, structs, constants, return codes."""
