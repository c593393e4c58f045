"""Who is calling: accounts, plans, API keys and the per-minute limits. Opens storage."""
