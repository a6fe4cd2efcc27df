"""HDF5 as far as ``.t1c`` needs it, written and read without the C library."""

from talon.ir.hdf5.emit import Emitter
from talon.ir.hdf5.message import pack_attribute
from talon.ir.hdf5.reader import SIGNATURE, Dataset, Group, read_tree
from talon.ir.hdf5.write import KIND, encode_key, write_value

__all__ = [
    "KIND",
    "SIGNATURE",
    "Dataset",
    "Emitter",
    "Group",
    "encode_key",
    "pack_attribute",
    "read_tree",
    "write_value",
]
