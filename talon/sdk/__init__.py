"""The front door: the ``talon`` command."""
