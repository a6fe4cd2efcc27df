"""talon_pynq."""
