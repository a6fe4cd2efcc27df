"""The array behind a serial link: a UART instead of AXI."""
