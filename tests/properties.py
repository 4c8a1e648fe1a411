"""What the property tests share: how many examples they draw, always the same ones, and the scans they draw."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

# Repeatable and without a clock, so that a slow machine finds what a fast one finds.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")

ORDERS = ("anatomical", "acquisition")


@st.composite
def affines(draw):
    """(4, 4): voxels of 0.2 to 12 mm along axes in any order and direction, turned by any angle, sheared, moved."""
    columns = np.eye(3)[:, draw(st.permutations(range(3)))]
    edges = np.array([draw(st.floats(0.2, 12)) * draw(st.sampled_from((-1, 1))) for _ in range(3)])
    angles = [draw(st.one_of(st.just(0.0), st.floats(-180, 180))) for _ in range(3)]
    shear = np.eye(3)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        shear[row, column] = draw(st.one_of(st.just(0.0), st.floats(-0.5, 0.5)))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ shear @ (columns * edges)
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


def shapes(largest):
    """(x, y, z) of 1 to ``largest`` voxels."""
    return st.tuples(*[st.integers(1, largest)] * 3)


def spacings():
    """(z, y, x) mm that a network sees."""
    return st.tuples(*[st.sampled_from((0.7, 1.0, 1.5, 3.0, 8.0))] * 3)
