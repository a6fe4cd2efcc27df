"""How ``snntorch.export_talonir`` and ``snntorch.import_talonir`` come to be importable.

See ``docs/decisions/0008-modules-of-snntorch.md``.
"""
