"""The version of the program."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The installed version; ``0+source`` when run from a tree that is not installed."""
    try:
        return version("mt5dash")
    except PackageNotFoundError:
        return "0+source"
