"""Room: a feed whose events come from other feeds."""
