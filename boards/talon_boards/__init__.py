"""talon_boards."""
