"""``python -m tui`` is ``mt5dash``."""

from .cli import main

main()
