"""Numbers as people read them."""

_UNITS = ("KB", "MB", "GB", "TB", "PB")


def format_bytes(n_bytes: int) -> str:
    """Return a size in units of 1024 bytes: ``500 B``, ``1.0 KB``, ``1.50 GB``."""
    if n_bytes < 1024:
        return f"{n_bytes} B"
    value, unit = float(n_bytes), "B"
    for unit in _UNITS:
        value /= 1024
        if value < 1024:
            break
    return f"{value:.2f} {unit}" if unit in ("GB", "TB", "PB") else f"{value:.1f} {unit}"


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
