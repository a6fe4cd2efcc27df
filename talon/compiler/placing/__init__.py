"""Parts on the places of a mesh, and parts in cores: the search that all planning shares.

``docs/reference/placement.md`` says what is minimised, how, and how far from the least it can be.
"""

from talon.compiler.placing.bounds import lower_bound
from talon.compiler.placing.problem import MeshProblem
from talon.compiler.placing.search import sketch, solve

__all__ = ["MeshProblem", "lower_bound", "sketch", "solve"]
