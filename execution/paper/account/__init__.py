"""Room: the paper account: ledger, fills, matching, rules."""
