"""The driver of a board that runs PYNQ.

:class:`talon_pynq.overlay.TalonOverlay` loads a bitstream and runs programs on it,
:class:`talon_pynq.transport.DmaTransport` carries words by registers and DMA, and
:class:`talon_pynq.target.PynqTarget` is the target ``"pynq"`` of :meth:`talon.Program.run`.
"""
