"""Tokens to money to wallet: counting, prices, the ledger and the reports on it."""
