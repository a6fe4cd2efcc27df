"""A run as one self-contained HTML page. Takes plain data and knows no other room."""
