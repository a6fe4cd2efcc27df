"""talon_hdl."""
