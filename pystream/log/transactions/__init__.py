"""Transactions: a producer's own, the offsets in them, finishing others', checks and the tools."""
