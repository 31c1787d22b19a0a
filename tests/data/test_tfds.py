"""tensorflow-datasets without TensorFlow: prepared sets, names, and what is said where it cannot be had."""

import socket
import sys
import time

import pytest
import tensorflow_datasets

from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data import tfds as module
from jaxgen.errors import UserError


def test_any_other_set_is_read_through_its_data_source():
    with tensorflow_datasets.testing.mock_data(num_examples=25):
        dataset = load_dataset(DataSpec(dataset="kmnist"))
    assert dataset.images.shape == (25, 28, 28, 1)
    assert dataset.num_classes == 10
    assert "tensorflow" not in sys.modules


def test_images_of_a_set_can_be_resized():
    with tensorflow_datasets.testing.mock_data(num_examples=25):
        dataset = load_dataset(DataSpec(dataset="svhn_cropped", image_size=16))
    assert dataset.images.shape == (25, 16, 16, 3)


def test_a_set_without_labelled_images_is_refused():
    with tensorflow_datasets.testing.mock_data(num_examples=5), pytest.raises(UserError, match="no set of labelled"):
        load_dataset(DataSpec(dataset="dsprites"))


def test_a_set_that_is_not_prepared_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not prepared as array_record.*jaxgen\[tf\]"):
        load_dataset(DataSpec(dataset="kmnist", data_dir=str(tmp_path)))


def test_names_nobody_knows_are_refused():
    with pytest.raises(UserError, match="nor a data set of tensorflow-datasets"):
        load_dataset(DataSpec(dataset="mnits"))


def test_without_tensorflow_datasets_its_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match="tensorflow-datasets cannot be imported"):
        load_dataset(DataSpec(dataset="kmnist"))


def test_preparing_offline_is_said_at_once_with_what_to_do(tmp_path, monkeypatch):
    def refuse(address, *arguments, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: True)
    began = time.perf_counter()
    with pytest.raises(UserError, match=r"does not answer .*Name or service.*--data_dir") as caught:
        load_dataset(DataSpec(dataset="kmnist", data_dir=str(tmp_path)))
    assert time.perf_counter() - began < 10
    assert "\n" not in str(caught.value)
