"""The golden model behind the streams and registers of an array: many samples in little time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import registers
from talon.arch.memories import Counter, Memory, MemoryLayouts, loaded
from talon.arch.packet import OP_OFFSET, SYNC_MORE, ConfigOp, InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import FORMAT_VERSION
from talon.compiler.network import IntNetwork
from talon.errors import BackendError
from talon.image.container import Image
from talon.image.decode import field_of
from talon.image.maps import homes, lines_of, senders
from talon.image.stream import CONTROL_PROBE
from talon_sim.golden.model import GoldenModel
from talon_sim.trace import Trace

Words = NDArray[np.uint64]
Index = NDArray[np.int64]

_OP = np.uint64(OP_OFFSET)
_NOTHING = np.empty(0, np.uint64)


class GoldenArray:
    """What an array that is loaded with one image looks like from outside.

    It takes the words of the host, runs the golden model on the events in them, and answers with
    the words that the array would answer with, but for their order within a timestep. Configuration
    is taken as it comes: it is the events that count. It knows no probes and no pools of outputs.

    Parameters
    ----------
    network, image
        The network, and the image that the host will load.
    """

    def __init__(self, network: IntNetwork, image: Image) -> None:
        self._model, self._image = GoldenModel(network), image
        self._layouts = PacketLayouts(image.params)
        self._inputs = _Inputs(image, self._layouts)
        self._outputs = _Outputs(image, self._layouts)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the image."""
        self._registers: dict[int, int] = {}
        self._taken: list[Words] = []
        self._answers: list[Words] = []
        self._selected: dict[int, tuple[Memory, int]] = {}  # as after a SELECT of STATUS

    def drop(self) -> None:
        """Do nothing: no word is held on the bus."""

    def read_word(self, address: int) -> int:
        """Return the register at a byte address."""
        params = self._image.params
        fixed = {
            "ID": registers.ID,
            "VERSION": FORMAT_VERSION,
            "HARDWARE_HASH": params.hardware_hash,
            "STATUS": registers.BY_NAME["STATUS"].layout.pack({"idle": 1}),
        }
        known = {registers.address(name): value for name, value in fixed.items()}
        return known.get(address, self._registers.get(address, 0))

    def write_word(self, address: int, value: int) -> None:
        """Write the register at a byte address."""
        control = registers.BY_NAME["CONTROL"].layout
        if address != registers.address("CONTROL"):
            self._registers[address] = value
        elif control.unpack(value)["array_reset"]:
            kept = self._registers
            self.reset()
            self._registers = kept

    def step(self, words: Words, *, room: int, cycles: int) -> tuple[int, Words, bool]:
        """Take all words, and give as many as there is room for, up to one with TLAST."""
        del cycles
        if words.size:
            self._taken.append(words)
            ends = np.flatnonzero(words >> _OP == InOp.SYNC)
            if ends.size and not int(words[ends[-1]]) & SYNC_MORE:
                self._answers += self._carry_out(np.concatenate(self._taken))
                self._taken = []
        if not self._answers or not room:
            return words.size, _NOTHING, False
        first = self._answers[0]
        given, rest = first[:room], first[room:]
        self._answers[:1] = [rest] if rest.size else []
        return words.size, given, not rest.size

    def _carry_out(self, words: Words) -> list[Words]:
        """Return the answers to whole transfers, an array for each."""
        ends = np.flatnonzero((words >> _OP == InOp.SYNC) & (words & np.uint64(SYNC_MORE) == 0))
        answers: list[Words] = []
        for part in np.split(words, ends + 1):
            if not part.size:
                continue
            ops = part >> _OP
            if (ops == InOp.PACKET).any():
                answers.append(self._configure(part[ops == InOp.PACKET]))
            else:
                answers.append(self._compute(part))
        return answers

    def _compute(self, words: Words) -> Words:
        n_samples = int(np.sum(words >> _OP == InOp.SYNC))
        if n_samples == words.size:
            return np.full(n_samples, _done(), np.uint64)
        inputs = self._inputs.decode(words)
        return self._outputs.encode(self._model.run(inputs, probe=False))

    def _configure(self, packets: Words) -> Words:
        """Answer questions: cores are armed, counters zero, memories those of the image."""
        layout = self._layouts.config
        op, data = field_of(packets, layout, "op"), field_of(packets, layout, "data")
        core = _position(field_of(packets, layout, "ymask")) * self._image.params.columns
        core += _position(field_of(packets, layout, "xmask"))
        answers: list[Words] = []
        asking = np.isin(op, (ConfigOp.SELECT, ConfigOp.READ, ConfigOp.CONTROL))
        for one, value, c in zip(op[asking], data[asking], core[asking], strict=True):
            if one == ConfigOp.SELECT:
                self._selected[int(c)] = (Memory(int(value) >> 28), int(value) & 0xFFF_FFFF)
            elif one == ConfigOp.READ:
                answers.append(self._read(int(c), int(value)))
            elif int(value) & CONTROL_PROBE:
                raise BackendError("The golden model behind the streams of an array has no probes")
        return np.concatenate([*answers, np.array([_done()], np.uint64)])

    def _read(self, core: int, n_words: int) -> Words:
        memory, entry = self._selected.get(core, (Memory.STATUS, 0))
        params = self._image.params
        if memory is Memory.STATUS:
            good = (1 << len(loaded(params))) - 1
            layout = MemoryLayouts(params).status
            values = np.array([layout.pack({"armed": 1, "good": good})], np.uint64)
        elif memory is Memory.COUNTER:
            values = np.zeros(len(Counter), np.uint64)
        else:
            values = self._image.section(core, memory).words.astype(np.uint64)
        layout = self._layouts.host_config
        head = layout.pack({"kind": int(Kind.HOST_CONFIG), "core": core})
        values = values[entry : entry + n_words] << np.uint64(layout.offset_of("data"))
        return values | np.uint64(head)


class _Inputs:
    """From the events of the host back to payloads."""

    def __init__(self, image: Image, layouts: PacketLayouts) -> None:
        self._layout = layouts.spike
        self._ports: list[dict[str, Any]] = image.manifest["inputs"]
        # By masks and edge of a route: its port, and the line of each index that it alone tells.
        self._routes: dict[tuple[int, int, int], tuple[str, Index]] = {}
        for port in self._ports:
            n = int(np.prod(port["shape"]))
            missing = np.ones(n, np.bool_)
            for route in port["routes"]:
                inside, index = lines_of(route, port["shape"])
                mine = np.flatnonzero(inside & missing)
                missing[mine] = False
                lines = np.full(1 << 16, -1, np.int64)
                lines[index[mine] & 0xFFFF] = mine
                self._routes[route["xmask"], route["ymask"], route["edge"]] = port["name"], lines

    def decode(self, words: Words) -> dict[str, NDArray[np.int16]]:
        """Return the payloads (T, B, n) of the inputs in the words of whole samples."""
        ops = words >> _OP
        syncs = np.flatnonzero(ops == InOp.SYNC)
        step = np.cumsum(ops == InOp.EVENT_LAST)
        n_steps = int(step[syncs[0]])
        if (np.diff(step[syncs], prepend=0) != n_steps).any():
            raise BackendError("All samples of a transfer must have as many timesteps")
        step -= ops == InOp.EVENT_LAST  # it belongs to the step that it ends
        found = {
            port["name"]: np.zeros((n_steps * syncs.size, int(np.prod(port["shape"]))), np.int16)
            for port in self._ports
        }
        events = np.flatnonzero((ops == InOp.EVENT) & (words & np.uint64(7) == Kind.SPIKE))
        chosen = words[events]
        key = [field_of(chosen, self._layout, name) for name in ("xmask", "ymask", "edge")]
        index, payload = (field_of(chosen, self._layout, name) for name in ("index", "payload"))
        for (xmask, ymask, edge), (name, lines) in self._routes.items():
            mine = np.flatnonzero((key[0] == xmask) & (key[1] == ymask) & (key[2] == edge))
            line = lines[index[mine]]
            known = line >= 0
            found[name][step[events[mine[known]]], line[known]] = payload[mine[known]]
        held = {port["name"] for port in self._ports if port.get("once", False)}
        result: dict[str, NDArray[np.int16]] = {}
        for name, rows in found.items():
            steps = rows.reshape(syncs.size, n_steps, -1).transpose(1, 0, 2)
            result[name] = np.broadcast_to(steps[:1], steps.shape) if name in held else steps
        return result


class _Outputs:
    """From the record of a run to the words of an array."""

    def __init__(self, image: Image, layouts: PacketLayouts) -> None:
        self._layouts, self._n_slots = layouts, image.params.n_slots
        known = senders(image.manifest)
        self._kinds: dict[str, str] = {}
        self._places: dict[str, tuple[Index, Index]] = {}  # core and number of each neuron
        for output in image.manifest["outputs"]:
            sender = known[output["population"]]
            if sender.pool is not None:
                raise BackendError(f"Output {sender.name!r} has a pool; the stand-in knows none")
            self._kinds[sender.name] = sender.kind
            self._places[sender.name] = np.zeros(sender.n, np.int64), np.zeros(sender.n, np.int64)
        for home in homes(image.manifest, image.params):
            if home.population in self._places:
                cores, numbers = self._places[home.population]
                cores[home.neurons], numbers[home.neurons] = home.core, home.numbers
        token = layouts.host_token
        self._tokens = np.array(
            [
                token.pack(
                    {"kind": int(Kind.HOST_TOKEN), "core": end["core"], "group": end["group"]}
                )
                for end in image.manifest["end_of_step"]
            ],
            np.uint64,
        )

    def encode(self, trace: Trace) -> Words:
        """Return the words of all samples: outputs and tokens of each step, and DONE."""
        n_steps, n_samples = trace.n_steps, trace.n_samples
        words: list[Words] = []
        places: list[Index] = []  # three for each step: outputs, tokens, DONE
        for name, kind in self._kinds.items():
            own, at = self._of(name, kind, trace)
            words.append(own)
            places.append(3 * at)
        steps = np.arange(n_samples * n_steps).repeat(self._tokens.size)
        slots = (steps % n_steps % self._n_slots).astype(np.uint64)
        shift = np.uint64(self._layouts.host_token.offset_of("slot"))
        words.append(np.tile(self._tokens, n_samples * n_steps) | slots << shift)
        places.append(3 * steps + 1)
        words.append(np.full(n_samples, _done(), np.uint64))
        places.append(3 * (np.arange(1, n_samples + 1) * n_steps - 1) + 2)
        order = np.argsort(np.concatenate(places), kind="stable")
        return np.concatenate(words)[order]

    def _of(self, name: str, kind: str, trace: Trace) -> tuple[Words, Index]:
        """Return the words of one output, and the running step of each."""
        sends_values = name in trace.potentials
        values = trace.potentials[name] if sends_values else trace.spikes[name]
        by_sample = values.transpose(1, 0, 2)
        sent = np.ones(by_sample.shape, np.bool_) if kind == "readout" else by_sample != 0
        sample, step, neuron = np.nonzero(sent)
        layout = self._layouts.host_value if sends_values else self._layouts.host_spike
        head = int(Kind.HOST_VALUE if sends_values else Kind.HOST_SPIKE)
        cores, numbers = self._places[name]
        fields = {
            "core": cores[neuron],
            "slot": step % self._n_slots,
            "neuron": numbers[neuron],
        }
        if sends_values:
            fields["value"] = by_sample[sample, step, neuron].astype(np.int64)
        words = np.full(neuron.size, head, np.uint64)
        widths: Mapping[str, int] = {field.name: field.width for field in layout.fields}
        for field, value in fields.items():
            bits = value & ((1 << widths[field]) - 1)
            words |= bits.astype(np.uint64) << np.uint64(layout.offset_of(field))
        return words, sample * trace.n_steps + step


def _position(masks: Index) -> Index:
    """Return the position of the one bit that is set in each mask."""
    return np.log2(np.maximum(masks & -masks, 1)).astype(np.int64)


def _done() -> int:
    return int(OutOp.DONE) << OP_OFFSET
