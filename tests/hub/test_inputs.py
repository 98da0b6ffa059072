"""What the edge lets through, in which form, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.hub import component
from gpujax.hub.inputs import checked_inputs

PRICE = component("black_scholes.price")
GREEKS = component("black_scholes.greeks")
MARKET = {"spot": 100.0, "strike": 105.0, "expiry": 0.25, "volatility": 0.2}


def checked(row=PRICE, **changes):
    return checked_inputs(row, {**MARKET, **changes})


def test_numbers_become_floats_and_arrays_stay_themselves():
    spot, strike = np.array([100.0, 101.0], np.float32), jnp.array([105.0, 106.0])
    got = checked(spot=spot, strike=strike, expiry=1, volatility=np.int64(2), is_call=np.True_)
    assert got["spot"] is spot
    assert got["strike"] is strike
    assert (got["expiry"], got["volatility"], got["is_call"]) == (1.0, 2.0, True)
    assert {type(got[k]) for k in ("expiry", "volatility")} == {float}
    assert type(got["is_call"]) is bool


def test_lists_and_columns_of_other_libraries_become_arrays():
    frame = pd.DataFrame({"strike": [95.0, 105.0], "is_call": [True, False]})
    got = checked(spot=[100, 101], strike=frame["strike"], is_call=frame["is_call"], volatility=[[0.2], [None]])
    np.testing.assert_array_equal(got["spot"], [[100.0, 101.0]])
    np.testing.assert_array_equal(got["strike"], [[95.0, 105.0]])
    np.testing.assert_array_equal(got["is_call"], [[True, False]])
    np.testing.assert_array_equal(got["volatility"], [[0.2], [np.nan]])
    assert got["spot"].dtype == np.float64
    assert got["volatility"].dtype == np.float64


def test_nan_and_infinity_pass_where_no_bound_forbids_them():
    got = checked(spot=np.array([np.nan, np.inf, 1.0]), rate=-np.inf)
    assert np.isnan(got["spot"][0])
    with pytest.raises(InputError, match="spot: -inf at row 1"):
        checked(spot=np.array([np.nan, -np.inf, 1.0]))


def test_both_ends_of_a_range_are_checked():
    quantile = component("normal.quantile")
    checked_inputs(quantile, {"p": np.array([0.0, 1.0])})
    for p in (np.array([0.5, 1.5]), jnp.array([0.5, 1.5])):
        with pytest.raises(InputError, match=r"p: 1.5 at row 1; expected in \[0, 1\], or NaN"):
            checked_inputs(quantile, {"p": p})


def test_an_excluded_bound_is_excluded():
    checked(strike=0.0)
    for spot in (0.0, np.zeros(3), jnp.zeros(3)):
        with pytest.raises(InputError, match=r"spot: 0.*expected > 0, currency"):
            checked(spot=spot)


def test_a_place_in_two_dimensions_is_an_index():
    volatility = np.full((3, 4), 0.2)
    volatility[1, 2] = -0.5
    with pytest.raises(InputError, match=r"volatility: -0.5 at index \(1, 2\)"):
        checked(volatility=volatility)


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(InputError, match=r"do not broadcast.*spot \(3,\), strike \(2,\)"):
        checked(spot=np.ones(3), strike=np.ones(2))
    with pytest.raises(InputError, match="spot: a list of lists of different lengths"):
        checked(spot=[[1.0], [1.0, 2.0]])


def test_empty_batches_pass():
    assert checked(spot=np.ones(0))["spot"].shape == (0,)


def test_booleans_are_no_numbers_and_numbers_no_booleans():
    with pytest.raises(InputTypeError, match="spot: bool array of shape"):
        checked(spot=np.array([True]))
    with pytest.raises(InputTypeError, match="spot: bool True at row 0"):
        checked(spot=[True, False])
    with pytest.raises(InputTypeError, match="is_call: float64 array"):
        checked(is_call=np.ones(2))
    with pytest.raises(InputTypeError, match="is_call: str 'call'"):
        checked(is_call="call")


def test_options_are_names_of_a_set():
    assert checked(GREEKS, which=["delta", "gamma"])["which"] == ("delta", "gamma")
    assert checked(GREEKS, which="delta")["which"] == ("delta",)
    with pytest.raises(InputError, match=r"which: 'detla' .did you mean 'delta'"):
        checked(GREEKS, which=("detla",))


def test_values_are_not_looked_at_while_tracing():
    # -1 would be refused outside.
    jax.jit(lambda v: checked(volatility=v)["volatility"])(jnp.float64(-1.0))
