"""Writes `gpujax/numerics/_sobol_directions.npz`: what Sobol sequences in 21,201 dimensions are made of.

    python scripts/make_sobol_directions.py            # write the file
    python scripts/make_sobol_directions.py --check    # compare the file with its source; exit 1 if they differ

The numbers are those of Joe and Kuo (2008), criterion D(6), file `new-joe-kuo-6.21201`, which SciPy ships among its package data.
What is stored, and how, is described in `gpujax/numerics/sobol.py`; the licence of the numbers, which asks to be passed on with
them, is below and inside the file.

Source: S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM Journal on Scientific
Computing 30 (2008), 2635-2654; https://web.maths.unsw.edu.au/~fkuo/sobol/
"""

import argparse
import os
import sys
from importlib import resources
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "gpujax" / "numerics" / "_sobol_directions.npz"

LICENCE = """\
Licence pertaining to sobol.cc and the accompanying sets of direction numbers

Copyright (c) 2008, Frances Y. Kuo and Stephen Joe
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:

    * Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

    * Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following
      disclaimer in the documentation and/or other materials provided with the distribution.

    * Neither the names of the copyright holders nor the names of the University of New South Wales and the University of Waikato
      and its contributors may be used to endorse or promote products derived from this software without specific prior written
      permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS ``AS IS'' AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED
TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE
COPYRIGHT HOLDERS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT
NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE)
ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    made = packed(*published())
    if check:
        with np.load(TARGET) as stored:
            same = set(stored) == set(made) and all(np.array_equal(stored[name], made[name]) for name in made)
        print(f"{TARGET.name}: {'equal to its source' if same else 'DIFFERS from its source'}")
        return 0 if same else 1
    temporary = TARGET.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **made)
    os.replace(temporary, TARGET)
    print(f"{TARGET.name}: {made['polynomial_steps'].size} dimensions, {TARGET.stat().st_size} bytes")
    return 0


def published() -> tuple[np.ndarray, np.ndarray]:
    """Polynomials `[dimensions]`, as binary digits, and initial numbers m_1 ... m_s `[dimensions, 18]`, from SciPy's copy."""
    with (
        resources.files("scipy.stats").joinpath("_sobol_direction_numbers.npz").open("rb") as file,
        np.load(file) as data,
    ):
        return data["poly"], data["vinit"]


def packed(polynomials: np.ndarray, initial: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of the file; refuses numbers that the compact form could not hold."""
    steps = np.diff(polynomials, prepend=0)
    assert polynomials[0] == 1, "the first dimension has no polynomial"
    assert (steps > 0).all(), "polynomials increase"
    assert steps.max() < 2**16, "steps fit into 16 bits"
    digits = []
    for polynomial, numbers in zip(polynomials[1:], initial[1:], strict=True):
        degree = int(polynomial).bit_length() - 1
        for i, number in enumerate(map(int, numbers[:degree])):
            assert number % 2 == 1, "initial numbers are odd"
            assert number < 2 ** (i + 1), "m_i has i digits"
            digits.extend((number >> j) & 1 for j in range(i, 0, -1))
        assert not numbers[degree:].any(), "as many initial numbers as the degree"
    return {
        "polynomial_steps": steps.astype(np.uint16),
        "initial_digits": np.packbits(np.array(digits, np.uint8)),
        "licence": np.array(LICENCE),
    }


if __name__ == "__main__":
    sys.exit(main())
