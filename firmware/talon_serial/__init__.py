"""The host's end of the serial link: an array on a board with a UART."""
