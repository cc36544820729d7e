"""Prints the fixture of the periodic embedding and encoder (forward.rs): numpy only.

v (3 rows, 4 inputs, of which input 2 is one-hot and has no embedding), 2 frequencies, 6 outputs
per input, width 5. Writes periodic.json beside itself.
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def relu(x):
    return np.maximum(x, 0)


def main():
    rng = np.random.default_rng(1)
    rows, inputs, k, width = 3, 4, 2, 5
    periodic = [0, 1, 3]
    v = rng.normal(size=(rows, inputs))
    v[:, 2] = [0, 1, 0]
    f = rng.normal(0, 0.3, (len(periodic), k))
    wp, bp = rng.normal(size=(6, 2 * k)), rng.normal(size=6)
    wide = inputs + 6 * len(periodic)
    wh, bh = 0.3 * rng.normal(size=(width, wide)), rng.normal(size=width)
    wo, bo = rng.normal(size=(width, width)), rng.normal(size=width)
    angle = 2 * np.pi * v[:, periodic, None] * f
    waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)
    embedded = relu(waves @ wp.T + bp).reshape(rows, -1)
    z = relu(relu(np.concatenate([v, embedded], axis=1) @ wh.T + bh) @ wo.T + bo)
    flat = np.concatenate([a.ravel() for a in (f, wp, bp, wh, bh, wo, bo)])
    fixture = {"v": v.ravel().tolist(), "flat": flat.tolist(), "z": z.ravel().tolist()}
    (HERE / "periodic.json").write_text(json.dumps(fixture))


if __name__ == "__main__":
    main()
