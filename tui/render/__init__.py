"""Room: lines, words, numbers, colours. Pure."""
