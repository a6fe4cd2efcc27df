"""The one energy model: what a run did, times what each operation costs.

Every figure of energy in Talon comes from :func:`energy_of`. The operations are counted in
:mod:`talon.backend.activity`; ``docs/reference/energy.md`` has the model with its units and limits.

==========  ==============================================================================
``mac``     multiply-accumulates: synaptic operations of graded values, updates of LIF
``spike``   accumulates: synaptic operations of spikes, updates of IF, spikes fired
``sram``    reads of weights, biases and potentials; writes of potentials
==========  ==============================================================================
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypedDict

from talon.backend.activity import LayerCounts, OperationCounts
from talon.backend.errors import UnknownNameError

DEFAULT_PRESET = "45nm_cmos"
"""What every API takes if nothing is said."""

_PJ_IN_UJ = 1e-6


class EnergyPreset(TypedDict):
    """Estimated energy of one operation each, in picojoules."""

    mac_pj: float
    spike_pj: float
    sram_read_pj: float
    sram_write_pj: float
    description: str


def _preset(mac: float, spike: float, sram: float, description: str) -> EnergyPreset:
    return EnergyPreset(
        mac_pj=mac,
        spike_pj=spike,
        sram_read_pj=sram,
        sram_write_pj=sram,
        description=f"{description}; an estimate",
    )


_ULTRASCALE = "XCZU9EG on a ZCU102 (16 nm FinFET, 274K LUTs, 2520 DSP48, 32.1 Mb BRAM)"

ENERGY_PRESETS: Mapping[str, EnergyPreset] = MappingProxyType(
    {
        "45nm_cmos": _preset(0.9, 0.1, 5.0, "45 nm CMOS, after M. Horowitz, ISSCC 2014"),
        "28nm_cmos": _preset(0.5, 0.06, 2.5, "28 nm CMOS, scaled from 45 nm"),
        "neuromorphic_int8": _preset(
            4.6,
            0.9,
            5.0,
            "The 4.6 pJ a MAC and 0.9 pJ an accumulate of papers on SNNs (45 nm, 32-bit floats)",
        ),
        "zynq_us_plus": _preset(3.2, 0.7, 4.0, f"Zynq UltraScale+ {_ULTRASCALE}"),
        "zcu102": _preset(3.2, 0.7, 4.0, f"Alias of zynq_us_plus: {_ULTRASCALE}"),
        "zynq_7020": _preset(6.5, 1.2, 8.0, "Zynq-7020 (28 nm)"),
    }
)
"""Coefficients by name. None of them was measured on the array that Talon generates."""


def get_energy_preset(name: str) -> EnergyPreset:
    """Return a copy of a preset.

    Raises
    ------
    UnknownNameError
        There is none of that name; it is a ``KeyError`` as well.
    """
    if name not in ENERGY_PRESETS:
        raise UnknownNameError(
            f"Unknown energy preset {name!r}. Available: {', '.join(sorted(ENERGY_PRESETS))}"
        )
    return ENERGY_PRESETS[name].copy()


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Energy of one operation each, in picojoules; checked to be finite and not negative.

    Parameters
    ----------
    name
        Name of the preset, or ``"custom"``.
    mac_pj
        Of a multiply-accumulate.
    spike_pj
        Of an accumulate.
    sram_read_pj, sram_write_pj
        Of reading and writing one word of on-chip memory.
    """

    name: str = "custom"
    mac_pj: float
    spike_pj: float
    sram_read_pj: float
    sram_write_pj: float

    def __post_init__(self) -> None:
        for name in ("mac_pj", "spike_pj", "sram_read_pj", "sram_write_pj"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number of picojoules, got {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and >= 0 picojoules, got {value}")


def coefficients(
    preset: str = DEFAULT_PRESET,
    *,
    energy_per_mac_pj: float | None = None,
    energy_per_spike_pj: float | None = None,
    energy_per_sram_read_pj: float | None = None,
    energy_per_sram_write_pj: float | None = None,
) -> Coefficients:
    """Return the coefficients of a preset, with some of them replaced.

    Parameters
    ----------
    preset
        A name of :data:`ENERGY_PRESETS`.
    energy_per_mac_pj, energy_per_spike_pj, energy_per_sram_read_pj, energy_per_sram_write_pj
        Picojoules that take the place of the preset's.
    """
    base = get_energy_preset(preset)
    given = {
        "mac_pj": energy_per_mac_pj,
        "spike_pj": energy_per_spike_pj,
        "sram_read_pj": energy_per_sram_read_pj,
        "sram_write_pj": energy_per_sram_write_pj,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    values = {name: base[name] for name in given} | changed
    return Coefficients(name="custom" if changed else preset, **values)


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Estimated energy in microjoules, of a layer or of several.

    Parameters
    ----------
    mac_uj, spike_uj, sram_uj
        By kind of operation; see the head of this module.
    """

    mac_uj: float = 0.0
    spike_uj: float = 0.0
    sram_uj: float = 0.0

    @property
    def total_uj(self) -> float:
        """All of it."""
        return self.mac_uj + self.spike_uj + self.sram_uj


@dataclass(frozen=True, kw_only=True)
class EnergyReport:
    """The energy of a run.

    Parameters
    ----------
    layers
        By node.
    coefficients
        What one operation was taken to cost.
    """

    layers: Mapping[str, Energy]
    coefficients: Coefficients

    @property
    def mac_uj(self) -> float:
        """Of multiply-accumulates."""
        return math.fsum(layer.mac_uj for layer in self.layers.values())

    @property
    def spike_uj(self) -> float:
        """Of accumulates."""
        return math.fsum(layer.spike_uj for layer in self.layers.values())

    @property
    def sram_uj(self) -> float:
        """Of memory accesses."""
        return math.fsum(layer.sram_uj for layer in self.layers.values())

    @property
    def total_uj(self) -> float:
        """All of it: the correctly rounded sum of :attr:`per_layer_uj`."""
        return math.fsum(self.per_layer_uj.values())

    @property
    def per_layer_uj(self) -> dict[str, float]:
        """By node."""
        return {name: layer.total_uj for name, layer in self.layers.items()}


def energy_of(counts: OperationCounts, price: Coefficients) -> EnergyReport:
    """Return what the operations cost.

    Parameters
    ----------
    counts
        Operations, counted in a run or assumed.
    price
        What one operation costs.
    """
    layers = {layer.node: _energy_of_layer(layer, price) for layer in counts.layers}
    return EnergyReport(layers=layers, coefficients=price)


def _energy_of_layer(layer: LayerCounts, price: Coefficients) -> Energy:
    sram_pj = layer.sram_reads * price.sram_read_pj + layer.sram_writes * price.sram_write_pj
    return Energy(
        mac_uj=(layer.macs + layer.lif_updates) * price.mac_pj * _PJ_IN_UJ,
        spike_uj=(layer.accumulates + layer.if_updates + layer.spikes) * price.spike_pj * _PJ_IN_UJ,
        sram_uj=sram_pj * _PJ_IN_UJ,
    )
