"""How a pure function meets its caller: what it takes, what it gives back, and what it says to the rest."""

import decimal
import json
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.function import floating_inputs, market_function


@market_function
def forward(*, spot, expiry, rate=0.0, is_call=True):
    """Forward price, negative for puts: a function that is cheap to compile."""
    spot, expiry, rate, is_call = floating_inputs(spot=spot, expiry=expiry, rate=rate, is_call=is_call)
    return jnp.where(is_call, spot, -spot) * jnp.exp(rate * expiry)


@market_function(static=("which",))
def chosen(*, spot, which=("a",)):
    (spot,) = floating_inputs(spot=spot)
    return spot * len(which)


# argument, value, words that the message has to contain
BAD = {
    "string": ("spot", "100", ["str '100'", "np.asarray(spot, dtype=float)"]),
    "bytes": ("spot", b"100", ["bytes b'100'", "np.asarray"]),
    "None": ("rate", None, ["NoneType None", "number"]),
    "list": ("spot", [100.0, 101.0], ["list [100.0, 101.0]", "np.asarray(spot, dtype=float)"]),
    "tuple": ("spot", (100.0, 101.0), ["tuple (100.0, 101.0)", "np.asarray"]),
    "long list": ("spot", list(range(10000)), ["list [0, 1, 2,", "np.asarray"]),
    "dictionary": ("spot", {"bid": 1.0}, ["dict {'bid': 1.0}", "np.asarray"]),
    "decimal": ("spot", decimal.Decimal("99.5"), ["Decimal('99.5')", "np.asarray"]),
    "complex": ("spot", 1j, ["complex 1j", "real numbers"]),
    "complex array": ("spot", np.ones(2, complex), ["complex128 array of shape (2,)", "real numbers"]),
    "integer array": ("spot", np.array([100, 101]), ["int64 array of shape (2,)", "spot.astype(float)"]),
    "unsigned array": ("spot", np.array([100], np.uint8), ["uint8 array of shape (1,)", "spot.astype(float)"]),
    "integer scalar": ("spot", np.int32(100), ["int32 array of shape ()", "spot.astype(float)"]),
    "JAX integers": ("spot", jnp.array([100]), ["int64 array of shape (1,)", "spot.astype(float)"]),
    "boolean": ("expiry", True, ["bool True", "floating-point"]),
    "boolean array": ("expiry", np.array([True]), ["bool array of shape (1,)", "floating-point"]),
    "array of strings": ("spot", np.array(["100"]), ["<U3 array of shape (1,)", "floating-point"]),
    "array of objects": ("spot", np.array([1.0, None]), ["object array of shape (2,)", "floating-point"]),
    "dates": ("expiry", np.array(["2026-01-01"], "datetime64[D]"), ["datetime64[D] array", "floating-point"]),
    "pandas Series": ("spot", pd.Series([100.0, 101.0]), ["Series", "np.asarray(spot)"]),
    "pandas integers": ("spot", pd.Series([100, 101]), ["Series", "spot.astype(float)"]),
    "pandas DataFrame": ("spot", pd.DataFrame({"bid": [1.0]}), ["DataFrame", "np.asarray"]),
    "masked array": ("spot", np.ma.array([1.0], mask=[True]), ["masked array", "spot.filled(np.nan)"]),
    "other byte order": ("spot", np.array([100.0], np.dtype("f8").newbyteorder()), ["f8", "spot.astype(float)"]),
    "long double": ("spot", np.array([100.0], np.longdouble), ["array of shape (1,)", "spot.astype(float)"]),
    "flag as integer": ("is_call", 1, ["int 1", "True for calls"]),
    "flags as integers": ("is_call", np.array([1, 0]), ["int64 array of shape (2,)", "booleans"]),
    "flags as floats": ("is_call", np.array([1.0]), ["float64 array of shape (1,)", "booleans"]),
    "flag as a word": ("is_call", "call", ["str 'call'", "booleans"]),
    "flags in a list": ("is_call", [True, False], ["list [True, False]", "booleans"]),
    "flag left out": ("is_call", None, ["NoneType None", "booleans"]),
}


@pytest.mark.parametrize("case", BAD)
def test_the_argument_its_value_and_the_remedy_are_named(case):
    name, value, words = BAD[case]
    with pytest.raises(InputTypeError) as caught:
        forward(**{"spot": 100.0, "expiry": 0.5, name: value})
    message = str(caught.value)
    assert message.startswith(f"forward: {name}: ")
    assert len(message) < 250
    assert "\n" not in message
    for word in words:
        assert word in message
    assert isinstance(caught.value, TypeError)


def test_bad_input_is_named_inside_another_compiled_function():
    with pytest.raises(InputTypeError, match=r"forward: expiry: str 'tomorrow'"):
        jax.jit(lambda x: forward(spot=x, expiry="tomorrow"))(100.0)
    with pytest.raises(InputTypeError, match=r"forward: spot: int64 array of shape \(2,\)"):
        jax.jit(lambda x: forward(spot=x, expiry=1.0))(np.array([1, 2]))


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match=r"spot \(3,\), expiry \(4,\)") as caught:
        forward(spot=np.ones(3), expiry=np.ones(4), rate=0.1)
    assert isinstance(caught.value, ValueError)
    assert "rate" not in str(caught.value)  # a scalar fits everything
    with pytest.raises(InputError, match=r"spot \(2, 3\), expiry \(2,\)"):
        forward(spot=np.ones((2, 3)), expiry=np.ones(2))


def test_arguments_missing_unknown_and_without_a_name():
    with pytest.raises(TypeError, match=r"forward\(\) missing 1 required keyword-only argument: 'expiry'"):
        forward(spot=100.0)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'maturity'"):
        forward(spot=100.0, expiry=1.0, maturity=1.0)
    with pytest.raises(
        InputTypeError, match=r"inputs by name: forward\(spot=\.\.\., expiry=\.\.\., rate=\.\.\., is_call="
    ):
        forward(100.0, 1.0)


def test_static_arguments():
    assert float(chosen(spot=2.0, which=("a", "b", "c"))) == 6.0
    with pytest.raises(InputTypeError, match=r"chosen: which: list \['a'\]; expected a tuple: pass tuple\(which\)"):
        chosen(spot=2.0, which=["a"])
    with pytest.raises(InputTypeError, match=r"chosen: spot: str 'x'"):
        chosen(spot="x", which=("a",))


def test_errors_of_the_function_itself_pass_through():
    @market_function
    def raises(*, spot):
        (spot,) = floating_inputs(spot=spot)
        raise TypeError("of its own")

    with pytest.raises(TypeError, match=r"^of its own"):
        raises(spot=1.0)


def test_python_numbers_are_taken():
    assert float(forward(spot=100, expiry=2)) == 100.0
    assert forward(spot=100, expiry=2).dtype == jnp.float64
    assert float(forward(spot=100, expiry=2, is_call=False)) == -100.0
    assert float(forward(spot=100, expiry=2, is_call=np.False_)) == -100.0
    # weakly typed, also where they are traced
    assert jax.jit(lambda x: forward(spot=x, expiry=jnp.float32(1.0)))(100).dtype == jnp.float32


@pytest.mark.parametrize(
    ("given", "result"),
    [("float64", "float64"), ("float32", "float32"), ("float16", "float32"), ("bfloat16", "float32")],
)
def test_results_have_the_dtype_of_the_inputs(given, result):
    """Half precision is not enough for a price: it is computed, and comes back, in float32."""
    spot = jnp.asarray([100.0, 200.0], given)
    got = forward(spot=spot, expiry=1.0, rate=0.5)
    assert got.dtype == result
    np.testing.assert_allclose(got, np.array([100.0, 200.0]) * np.exp(0.5), rtol=1e-6)
    assert forward(spot=spot[0], expiry=1.0, rate=0.5).dtype == result
    # Python numbers beside it do not decide.
    assert forward(spot=100.0, expiry=spot, rate=0.0).dtype == result


def test_mixed_precision():
    spot, expiry = np.ones(2, np.float32), np.ones(2, np.float64)
    with jax.numpy_dtype_promotion("standard"):
        assert forward(spot=spot, expiry=expiry).dtype == jnp.float64
        # Half precision alone means float32, but beside float64 it is float64.
        assert forward(spot=spot.astype(np.float16), expiry=expiry).dtype == jnp.float64
    # Strict promotion is the caller's wish to hear of this.
    with jax.numpy_dtype_promotion("strict"), pytest.raises(ValueError, match=r"float32.*float64|float64.*float32"):
        forward(spot=spot, expiry=expiry)


def test_scalars_stay_scalars_and_ranks_are_brought_together():
    seen = {}

    def look(**inputs):
        names = list(inputs)
        arrays = floating_inputs(**inputs)
        seen.update(zip(names, ((a.shape, str(a.dtype)) for a in arrays), strict=True))
        return arrays

    jax.eval_shape(lambda: look(spot=np.ones((2, 3)), strike=np.ones(3), rate=0.05, expiry=np.ones(()), is_call=True))
    assert seen == {
        "spot": ((2, 3), "float64"),
        "strike": ((1, 3), "float64"),
        "rate": ((), "float64"),
        "expiry": ((), "float64"),
        "is_call": ((), "bool"),
    }


def test_shapes_of_results():
    assert forward(spot=100.0, expiry=1.0).shape == ()
    assert forward(spot=np.ones(0), expiry=1.0).shape == (0,)
    assert forward(spot=np.ones((2, 1)), expiry=np.ones(3)).shape == (2, 3)
    assert forward(spot=1.0, expiry=1.0, is_call=np.array([True, False])).shape == (2,)


def test_one_trace_per_shape_and_dtype():
    traces = []

    @market_function
    def counted(*, spot):
        traces.append(None)
        (spot,) = floating_inputs(spot=spot)
        return spot

    for spot in (1.0, 2.0, 3):
        counted(spot=spot)
    assert len(traces) == 1  # Python numbers travel as one array, integers too
    for seed in range(3):
        counted(spot=np.random.default_rng(seed).random(5))
    assert len(traces) == 2


def test_the_function_keeps_its_name_and_documentation():
    assert forward.__name__ == "forward"
    assert forward.__doc__.startswith("Forward price")
    assert forward.__wrapped__.__kwdefaults__ == {"rate": 0.0, "is_call": True}
    lowered = forward.jitted.lower(spot=100.0, expiry=1.0)
    assert "exponential" in lowered.as_text()


def test_without_64_bit_mode_rounding_is_said_once():
    """float64 arrays that JAX is about to round: one warning, that names them; nothing for float32 or Python numbers."""
    program = textwrap.dedent("""
        import json, warnings
        import numpy as np
        import jax.numpy as jnp
        from gpujax.pricing import bachelier
        heard = []
        def price(**changes):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                inputs = {"forward": 100.0, "strike": 90.0, "expiry": 0.5, "volatility": 0.2, **changes}
                result = bachelier.price(**inputs)
            heard.append([(w.category.__name__, str(w.message), w.filename) for w in caught])
            return str(result.dtype)
        dtypes = [
            price(),
            price(forward=np.float32(100.0)),
            price(forward=jnp.float32(100.0), strike=np.ones(1, np.float32)),
            price(forward=np.full(1, 100.0), strike=np.float64(90.0)),
            price(forward=np.full(1, 100.0)),
        ]
        print(json.dumps([dtypes, heard]))
    """)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    dtypes, heard = json.loads(ran.stdout.splitlines()[-1])
    assert dtypes == ["float32"] * 5
    assert heard[0] == heard[1] == heard[2] == heard[4] == []
    ((category, message, file),) = heard[3]
    assert category == "PrecisionWarning"
    assert file == "<string>"  # the caller's line, not the library's
    for words in ("price: forward, strike came as float64", "float32", "gpujax.configure()"):
        assert words in message
