"""Notebooks for a board: PYNQ delivers them by ``pynq get-notebooks talon``."""
