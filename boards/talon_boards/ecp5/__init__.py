"""Boards with an ECP5: bitstreams by Yosys and nextpnr."""
