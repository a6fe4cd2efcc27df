"""Settings of all tests."""

import os

from hypothesis import HealthCheck, settings

# Tests know what they run: NumPy, unless they ask for compiled kernels.
os.environ["TALON_FAST"] = "0"

# No deadline: the machine that runs the tests may have better things to do for a while.
settings.register_profile(
    "talon", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("talon"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "talon"))
