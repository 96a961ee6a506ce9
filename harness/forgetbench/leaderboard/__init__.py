"""Leaderboards of deltas: built as a static site, verified from sample records, submitted, published."""
