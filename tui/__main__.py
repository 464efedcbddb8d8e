"""``python -m tui`` is ``mt5dash``."""

from .cli.main import main

main()
