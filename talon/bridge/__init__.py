"""Networks from and to PyTorch and snnTorch, which are imported when they are asked for.

``to_ir`` names a function and, as in the documented API, hides the module of that name.
"""

from talon.bridge.errors import BridgeError
from talon.bridge.to_ir import TALONExporter, to_ir, torch_to_ir

__all__ = ["BridgeError", "TALONExporter", "to_ir", "torch_to_ir"]
