"""The encrypted store: models, the SQLCipher database that holds them, and its migrations."""
