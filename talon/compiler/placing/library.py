"""Starts by SciPy's solver of quadratic assignments, where it is installed."""

from __future__ import annotations

import numpy as np

from talon.compiler.placing.problem import MeshProblem, Places

_MOST_PLACES = 400  # an iteration takes products of matrices of this size, and an assignment
_ITERATIONS = 30


def is_installed() -> bool:
    """Tell whether SciPy is there."""
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        return False
    return True


def library_starts(problem: MeshProblem) -> list[Places]:
    """Return the placement by ``scipy.optimize.quadratic_assignment``, method ``faq``.

    Nothing without SciPy or on meshes too large for it. What comes from it may differ in the last
    digit between machines, so a start of this kind is good for plans, not for images.
    """
    n, places = problem.n_parts, problem.n_places
    if not 2 <= n <= places <= _MOST_PLACES or not is_installed():
        return []
    from scipy.optimize import quadratic_assignment

    weight = np.zeros((places, places))
    weight[:n, :n] = problem.weight
    options = {"maxiter": _ITERATIONS, "rng": np.random.default_rng(0)}  # it draws nothing
    found = quadratic_assignment(weight, problem.distance, method="faq", options=options)
    return [np.asarray(found.col_ind[:n], np.intp)]
