"""Control and status registers, generated from `talon.arch.registers`."""
