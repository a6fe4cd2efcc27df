"""talon_sim."""
