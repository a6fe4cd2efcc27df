"""Vivado: the scripts that make a bitstream of an array, and the call that runs them."""
