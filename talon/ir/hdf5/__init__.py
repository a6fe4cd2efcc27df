"""HDF5 as far as ``.t1c`` needs it: written with h5py, read by a reader that cannot be harmed."""

from talon.ir.hdf5.reader import SIGNATURE, Dataset, Group, read_tree
from talon.ir.hdf5.write import KIND, create_group, write_value

__all__ = ["KIND", "SIGNATURE", "Dataset", "Group", "create_group", "read_tree", "write_value"]
