"""A throw-away site on this machine, with real processes, photographs, TLS and store."""
