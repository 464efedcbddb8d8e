"""Room: the commands of mt5dash."""
