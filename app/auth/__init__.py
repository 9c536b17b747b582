"""Who is calling: API keys, accounts, and signatures on URLs."""
