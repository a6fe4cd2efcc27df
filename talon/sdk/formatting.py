"""Numbers as people read them."""

_UNITS = ("KB", "MB", "GB", "TB", "PB")


def format_bytes(n_bytes: int) -> str:
    """Return a size in units of 1024 bytes: ``500 B``, ``1.0 KB``, ``1.50 GB``."""
    if n_bytes < 1024:
        return f"{n_bytes} B"
    power = min((n_bytes.bit_length() - 1) // 10, len(_UNITS))
    digits = 1 if power <= 2 else 2
    return f"{n_bytes / 1024**power:.{digits}f} {_UNITS[power - 1]}"


def format_number(n: int) -> str:
    """Return a count: ``1,500`` below 100,000, then ``150.0K``, ``1.50M``, ``2.00G``."""
    if n < 100_000:
        return f"{n:,}"
    for limit, divisor, digits, unit in (
        (999_950, 1e3, 1, "K"),
        (999_995_000, 1e6, 2, "M"),
    ):
        if n < limit:
            return f"{n / divisor:.{digits}f}{unit}"
    return f"{n / 1e9:.2f}G"
