"""Bit layouts: every memory word, packet and register is declared once, here.

The packer of images, the gateware, the interpreter and the documentation all read the same
declaration. Fields are listed from the least significant bit up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One named run of bits.

    ``width`` counts bits; a ``signed`` field holds two's complement.
    """

    name: str
    width: int
    signed: bool = False
    doc: str = ""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"Field {self.name} must have a positive width, not {self.width!r}")

    @property
    def minimum(self) -> int:
        """Smallest value that the field holds."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest value that the field holds."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1


@dataclass(frozen=True)
class Layout:
    """A word made of fields, least significant first."""

    name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"Layout {self.name} must have distinct field names, not {names!r}")

    @property
    def width(self) -> int:
        """Bits of the whole word."""
        return sum(field.width for field in self.fields)

    @property
    def n_words(self) -> int:
        """Number of 32-bit configuration words that carry the word."""
        return -(-self.width // 32)

    def offsets(self) -> Iterator[tuple[Field, int]]:
        """Yield each field with the position of its least significant bit."""
        offset = 0
        for field in self.fields:
            yield field, offset
            offset += field.width

    def offset_of(self, name: str) -> int:
        """Return the position of the least significant bit of field ``name``."""
        for field, offset in self.offsets():
            if field.name == name:
                return offset
        raise KeyError(f"Layout {self.name} has no field {name!r}")

    def pack(self, values: Mapping[str, int]) -> int:
        """Pack ``values`` (missing fields are zero) into one non-negative integer.

        Raises
        ------
        ValueError
            A value does not fit its field, or names no field.
        """
        unknown = set(values) - {field.name for field in self.fields}
        if unknown:
            raise ValueError(f"Layout {self.name} has no field {min(unknown)!r}")
        word = 0
        for field, offset in self.offsets():
            value = int(values.get(field.name, 0))
            if not field.minimum <= value <= field.maximum:
                raise ValueError(
                    f"Field {self.name}.{field.name} must be between {field.minimum} and "
                    f"{field.maximum}, not {value}"
                )
            word |= (value & ((1 << field.width) - 1)) << offset
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Return the field values of ``word``; bits above the layout are ignored."""
        values: dict[str, int] = {}
        for field, offset in self.offsets():
            value = (word >> offset) & ((1 << field.width) - 1)
            if field.signed and value > field.maximum:
                value -= 1 << field.width
            values[field.name] = value
        return values

    def to_words(self, values: Mapping[str, int]) -> list[int]:
        """Pack ``values`` and split the result into 32-bit words, least significant first."""
        packed = self.pack(values)
        return [(packed >> (32 * i)) & 0xFFFF_FFFF for i in range(self.n_words)]

    def from_words(self, words: Sequence[int]) -> dict[str, int]:
        """Undo :meth:`to_words`."""
        if len(words) != self.n_words:
            raise ValueError(
                f"Layout {self.name} takes {self.n_words} words of 32 bits, not {len(words)}"
            )
        return self.unpack(sum(int(word) << (32 * i) for i, word in enumerate(words)))
