"""sbir_toolkit."""
