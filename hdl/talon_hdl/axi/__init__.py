"""AXI4-Lite and AXI4-Stream: signatures, and a subordinate that becomes plain register accesses."""
