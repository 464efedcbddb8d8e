"""Room: the package's functions over a paper market and account."""
