"""Mapping onto arrays with feature maps: tiles of maps, axis tables, scans."""
