"""A module that has the name of a package of mt5dash's own `execution`."""

KIND = "the bot's orders"
