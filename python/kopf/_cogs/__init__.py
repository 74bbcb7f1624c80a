"""Where older operators look for names that are public, or nearly so."""
