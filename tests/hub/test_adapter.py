"""The Adapter: by name, on the device, with the guide's methods, and with fallbacks that leave a record."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gpujax as gj
from gpujax.device import DeviceConfig
from gpujax.errors import DeviceError, InputError, InputTypeError
from gpujax.hub import COMPONENTS, FallbackWarning, textbook
from gpujax.hub import adapter as adapter_module
from gpujax.hub.examples import spot_market
from gpujax.hub.guide_config import GuideConfig

CPU = {"platform": "cpu", "device_ids": [0], "compilation_cache": None}


@pytest.fixture
def adapter(monkeypatch):
    # The tests' own settings of JAX stay as they are.
    monkeypatch.setattr(adapter_module, "configure", lambda _: DeviceConfig())
    return gj.Adapter(CPU)


@pytest.fixture
def failing(monkeypatch):
    """An adapter for a GPU that fails as told; what falls back runs on the real CPU."""
    accelerate, calls = adapter_module.accelerate, []

    def made(function, config):
        if config.platform == "cpu":
            return accelerate(function, config)

        def fail(**inputs):
            calls.append(function.__name__)
            raise adapter.error

        return fail

    monkeypatch.setattr(adapter_module, "configure", lambda _: DeviceConfig(platform="gpu"))
    monkeypatch.setattr(adapter_module, "mesh_devices", lambda _: jax.devices("cpu")[:1])
    monkeypatch.setattr(adapter_module, "accelerate", made)
    adapter = gj.Adapter()
    adapter.calls = calls
    return adapter


def test_components_are_called_by_name(adapter):
    market = spot_market(5)
    got = adapter["black_scholes.price"](**market)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, textbook.black_scholes(**market), rtol=1e-9)
    assert list(adapter) == list(gj.components()) == list(COMPONENTS)
    assert len(adapter) == len(COMPONENTS)
    assert "black_scholes.price" in adapter
    assert "black_scholes" not in adapter


def test_lists_numbers_and_jax_arrays(adapter):
    price = adapter["black_scholes.price"]
    listed = price(spot=[100, 101], strike=105, expiry=0.25, volatility=0.2)
    assert isinstance(listed, np.ndarray)
    on_device = price(spot=jnp.array([100.0, 101.0]), strike=105.0, expiry=0.25, volatility=0.2)
    assert isinstance(on_device, jax.Array)
    np.testing.assert_allclose(listed, on_device, rtol=1e-15)
    table = price(spot=[[100.0], [101.0]], strike=[95.0, 100.0, 105.0], expiry=0.25, volatility=0.2)
    assert table.shape == (2, 3)
    np.testing.assert_allclose(table[:, 2], listed, rtol=1e-14)


def test_impossible_values_are_refused(adapter):
    with pytest.raises(InputError, match=r"black_scholes.price: volatility: -0.2 at row 1; expected >= 0"):
        adapter["black_scholes.price"](spot=100.0, strike=100.0, expiry=1.0, volatility=[0.2, -0.2])


def test_an_unknown_name_gets_the_nearest(adapter):
    with pytest.raises(InputError, match=r"component 'black_scholes.prize'.*did you mean 'black_scholes.price'"):
        adapter["black_scholes.prize"]


def test_composes_with_transformations(adapter):
    price = adapter["black_scholes.price"]
    delta = jax.grad(lambda spot: price(spot=spot, strike=100.0, expiry=1.0, volatility=0.2))(jnp.float64(100.0))
    greeks = adapter["black_scholes.greeks"](spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, which=("delta",))
    np.testing.assert_allclose(delta, greeks.delta, rtol=1e-13)


def test_the_guides_methods(adapter):
    pricer = adapter.adapt_options_pricing()
    market = {"spot": 100.0, "strike": 100.0, "expiry": 0.5}
    price = pricer.price(**market, volatility=0.3)
    assert float(pricer.implied_volatility(**market, price=price)) == pytest.approx(0.3, rel=1e-12)
    assert pricer.greeks(**market, volatility=0.3, which=("delta",)).gamma is None
    adapters = adapter.get_all_comprehensive_adapters()
    assert list(adapters) == list(COMPONENTS)
    assert float(adapters["normal.cdf"](x=0.0)) == pytest.approx(0.5, rel=1e-15)
    categories = adapter.get_script_categories()
    assert sorted(name for names in categories.values() for name in names) == sorted(COMPONENTS)
    assert "pricing_dtype" in adapter.get_config_summary()
    assert adapter.device in jax.devices()


def test_a_method_without_a_room_says_what_there_is(adapter):
    for name in ("adapt_trading_ai", "adapt_hft_engine"):
        with pytest.raises(AttributeError, match=f"no {name}.*adapt_options_pricing.*black_scholes.price"):
            getattr(adapter, name)
    with pytest.raises(AttributeError, match="no attribute 'pricer'"):
        adapter.pricer  # noqa: B018


def test_performance_is_measured_against_answers_that_agree(adapter):
    profile = adapter.get_performance_profile(options=1000, rounds=3)
    seconds = profile["seconds"]
    assert profile["performance_multiplier"] == seconds["numpy"] / seconds["numpy_arrays"] > 0
    assert profile["performance_multiplier_on_device"] == seconds["numpy"] / seconds["device_arrays"]
    assert profile["gpu_name"].startswith("none: CPU")
    assert profile["largest_difference"] < 1e-12
    assert "1,000 options" in profile["how"]
    with pytest.raises(InputError, match="options: 0"):
        adapter.get_performance_profile(options=0)


def test_performance_of_a_wrong_answer_is_no_performance(adapter, monkeypatch):
    monkeypatch.setattr(textbook, "black_scholes", lambda **market: market["spot"] * 0.0)
    with pytest.raises(DeviceError, match="differs from NumPy"):
        adapter.get_performance_profile(options=100, rounds=1)


def test_the_guides_configuration_is_read_only(adapter):
    config = adapter.config
    assert config["batch_size"] >= 1024
    assert config.get("mixed_precision") is False
    assert config.get("use_flash_attention", None) is False
    assert config["gradient_checkpointing"] is False
    assert config["pricing_dtype"] == adapter.device_config.pricing_dtype
    with pytest.raises(InputTypeError, match=r"replace\(batch_limit="):
        config["batch_size"] = 3


def test_the_guides_configuration_follows_the_devices():
    device = jax.devices("cpu")[0]
    config = DeviceConfig(platform="gpu", model_dtype="bfloat16", rematerialisation="blocks", batch_limit=500)
    seen = GuideConfig(config, device)
    assert (seen["batch_size"], seen["mixed_precision"], seen["gradient_checkpointing"]) == (500, True, True)
    assert seen["use_flash_attention"] is True


def test_out_of_memory_falls_back_and_is_tried_again(failing):
    failing.error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8000000 bytes.\nBFC dump")
    market = spot_market(7)
    for times in (1, 2):
        with pytest.warns(FallbackWarning, match="black_scholes.price ran on the CPU.*out of memory.*next call tries"):
            got = failing["black_scholes.price"](**market)
        np.testing.assert_allclose(got, textbook.black_scholes(**market), rtol=1e-9)
        assert len(failing.calls) == len(failing.fallbacks) == times
    record = failing.fallbacks[0]
    assert record.component == "black_scholes.price"
    assert record.reason == "out of memory"
    assert record.shape == (7,)
    assert record.message == "RESOURCE_EXHAUSTED: Out of memory allocating 8000000 bytes."


def test_an_entry_that_does_not_fit_is_out_of_memory(failing):
    failing.error = DeviceError("price: out of memory with one entry of the batch, so there is nothing to divide")
    with pytest.warns(FallbackWarning):
        failing["black_scholes.price"](**spot_market(2))
    assert failing.fallbacks[0].reason == "out of memory"


def test_a_program_that_does_not_compile_stays_on_the_cpu(failing):
    failing.error = jax.errors.JaxRuntimeError("INTERNAL: ptxas exited with non-zero error code 139")
    market = spot_market(7)
    with pytest.warns(FallbackWarning, match="failure.*stays there"):
        first = failing["black_scholes.price"](**market)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = failing["black_scholes.price"](**market)
    np.testing.assert_array_equal(first, second)
    assert len(failing.calls) == len(failing.fallbacks) == 1


def test_a_callers_mistake_is_no_fallback(failing):
    failing.error = InputError("shapes do not broadcast")
    with pytest.raises(InputError, match="broadcast"):
        failing["black_scholes.price"](**spot_market(2))
    assert failing.fallbacks == ()
