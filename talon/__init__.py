"""TALON: compile spiking neural networks onto a neuromorphic core array and prove them equal.

Rooms: ``ir`` what a network is, ``compiler`` how it becomes a program, ``image`` the bytes of a
program, ``backend`` what runs it, ``sdk`` the front door, ``arch`` what the silicon is.
"""

__version__ = "0.1.0"
