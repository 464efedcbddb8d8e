"""``python -m tui`` is ``mt5dash``."""

from streamer.floors import pin

pin()
from .cli.main import main  # noqa: E402

main()
