"""``python -m talon.sdk`` is the ``talon`` command."""

from talon.sdk.cli import main

main(prog_name="talon")
