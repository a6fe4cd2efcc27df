"""Boards: what each has room for, and the folder from which a vendor's tool makes a bitstream."""
