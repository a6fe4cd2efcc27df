"""Events in HDF5 files: columns ``t``, ``x``, ``y`` and ``p`` that grow, sorted by time.

The group ``events`` holds one dataset a field, and tells in attributes ``format``, ``n_events``,
``t_start``, ``t_end``, ``sensor_width`` and ``sensor_height``. A small dataset of the root has the
time of the first event of every chunk, by which a window of time is found.
"""

from talon.io.events import EVENT_DTYPE
from talon.io.h5_layout import COMPACT_H5_CONFIG, DEFAULT_H5_CONFIG, H5Config
from talon.io.h5_reader import H5EventReader, read_h5
from talon.io.h5_writer import H5EventWriter, recover_h5, write_h5

__all__ = [
    "COMPACT_H5_CONFIG",
    "DEFAULT_H5_CONFIG",
    "EVENT_DTYPE",
    "H5Config",
    "H5EventReader",
    "H5EventWriter",
    "read_h5",
    "recover_h5",
    "write_h5",
]
