"""The mesh of a configuration, on eight simulated devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gpujax.device import DeviceConfig, make_mesh
from gpujax.device.mesh import mesh_devices
from gpujax.errors import DeviceError


def eight(**changes):
    return DeviceConfig(device_ids=tuple(range(8)), mesh_axes=(("batch", 8),), parallelism="shard_map").replace(
        **changes
    )


def test_axes_and_devices_as_configured():
    mesh = make_mesh(eight(mesh_axes=(("batch", 4), ("model", 2))))
    assert mesh.axis_names == ("batch", "model")
    assert mesh.devices.shape == (4, 2)
    assert [d.id for d in mesh.devices.flat] == list(range(8))
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)


def test_device_ids_are_honoured_in_their_order():
    mesh = make_mesh(DeviceConfig(device_ids=(6, 1, 3), mesh_axes=(("batch", 3),)))
    assert [d.id for d in mesh.devices] == [6, 1, 3]
    assert [d.id for d in mesh_devices(DeviceConfig(device_ids=(5,)))] == [5]


def test_differently_sharded_arrays_meet_in_one_computation():
    # What Explicit axes, the default of jax.make_mesh, reject.
    mesh = make_mesh(eight())
    x = jax.device_put(jnp.arange(64.0).reshape(8, 8), NamedSharding(mesh, PartitionSpec("batch", None)))
    y = jax.device_put(jnp.arange(64.0).reshape(8, 8), NamedSharding(mesh, PartitionSpec(None, "batch")))
    np.testing.assert_array_equal(x + y, 2 * np.arange(64.0).reshape(8, 8))
    assert len((x + y).sharding.device_set) == 8


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DeviceConfig(platform="gpu"), r"platform 'gpu' was asked for.*finds only: cpu.*gpujax\[cuda12\]"),
        (DeviceConfig(platform="tpu"), r"platform 'tpu' was asked for.*finds only: cpu.*gpujax\[tpu\]"),
        (
            DeviceConfig(device_ids=(0, 8, 11), mesh_axes=(("batch", 3),)),
            r"device_ids \[0, 8, 11\]: cpu device 8, 11 is not there; this host has 8",
        ),
        (
            DeviceConfig(device_ids=(0, 1), mesh_axes=(("batch", 4),)),
            r"mesh_axes \{'batch': 4\} multiplies to 4, but there are 2 devices",
        ),
    ],
)
def test_what_is_not_there_is_named(config, message):
    with pytest.raises(DeviceError, match=message):
        make_mesh(config)
