"""Finds ``snntorch.export_talonir`` and ``snntorch.import_talonir`` in Talon.

An install has this file as ``_talon_snntorch.py``, and ``talon-snntorch.pth`` imports it whenever
Python starts. So it imports next to nothing, and it is asked last: modules of these names that
snntorch itself may have one day come first.
"""

import sys

_NAMES = ("snntorch.export_talonir", "snntorch.import_talonir")


class Finder:
    """A finder of the import system, for two names."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return where the module is, or None for any other name."""
        del path, target
        if name not in _NAMES:
            return None
        from importlib.util import find_spec, spec_from_file_location

        talon = find_spec("talon")
        if talon is None or not talon.submodule_search_locations:
            return None
        folder = talon.submodule_search_locations[0]
        return spec_from_file_location(name, f"{folder}/bridge/entry/{name.split('.')[1]}.py")


if Finder not in sys.meta_path:
    sys.meta_path.append(Finder)
