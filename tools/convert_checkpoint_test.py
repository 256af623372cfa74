"""Tests of convert_checkpoint.py."""

import collections
import contextlib
import io
import pathlib
import tempfile
import unittest

import safetensors.torch
import torch

import convert_checkpoint


class NotATensor:
    """Something that only unpickling could bring back."""


class ConvertCheckpoint(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.source = str(pathlib.Path(self.folder.name) / "model.pt")
        self.target = str(pathlib.Path(self.folder.name) / "model.safetensors")
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.state = self.model.state_dict()

    def tearDown(self):
        self.folder.cleanup()

    def convert(self, checkpoint, *options, **save_options):
        torch.save(checkpoint, self.source, **save_options)
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            convert_checkpoint.main([self.source, self.target, *options])
        return safetensors.torch.load_file(self.target), text.getvalue()

    def assert_state(self, tensors):
        self.assertEqual(sorted(tensors), sorted(self.state))
        for name, tensor in self.state.items():
            self.assertEqual(tensors[name].dtype, tensor.dtype)
            self.assertTrue(torch.equal(tensors[name], tensor), name)

    def error_of(self, checkpoint, *options):
        with self.assertRaises(SystemExit) as raised:
            self.convert(checkpoint, *options)
        self.assertFalse(pathlib.Path(self.target).exists())
        return str(raised.exception)

    def test_ordered_and_plain_dicts(self):
        self.assert_state(self.convert(collections.OrderedDict(self.state))[0])
        self.assert_state(self.convert(dict(self.state))[0])

    def test_legacy_format(self):
        self.assert_state(self.convert(self.state, _use_new_zipfile_serialization=False)[0])

    def test_wrapped_state_dicts(self):
        for name in ("state_dict", "model", "model_state_dict"):
            self.assert_state(self.convert({name: self.state, "epoch": 3})[0])
        self.assert_state(self.convert({"ema": self.state, "epoch": 3}, "--key", "ema")[0])

    def test_prefix_of_data_parallel(self):
        prefixed = {"module." + name: tensor for name, tensor in self.state.items()}
        self.assert_state(self.convert(prefixed)[0])
        self.assertIn("module.0.weight", self.convert(prefixed, "--keep-prefix")[0])

    def test_shared_and_strided_tensors(self):
        weight = torch.randn(4, 6)
        tensors, text = self.convert({"a": weight, "b": weight, "t": torch.randn(3, 5).t()})
        self.assertTrue(torch.equal(tensors["a"], tensors["b"]))
        self.assertEqual(tensors["t"].shape, (5, 3))
        self.assertIn("1 of them shared memory", text)

    def test_summary(self):
        text = self.convert(self.state)[1]
        self.assertIn("0.weight", text)
        self.assertIn("7 tensors", text)

    def test_pickled_objects_are_refused(self):
        self.assertIn("could run code", self.error_of({"w": torch.ones(2), "x": NotATensor()}))

    def test_what_is_no_state_dict_is_described(self):
        self.assertIn("{'epoch': int, 'lr': float}", self.error_of({"epoch": 3, "lr": 0.1}))
        self.assertIn("it is a list", self.error_of([torch.ones(2)]))
        self.assertIn("there is no 'ema' in it", self.error_of({"model": self.state}, "--key", "ema"))

    def test_quantized_tensors_are_refused(self):
        self.assertIn("quantized dtype", self.error_of({"w": torch.quantize_per_tensor(torch.ones(2), 0.1, 3, torch.quint8)}))

    def test_damaged_and_missing_files(self):
        pathlib.Path(self.source).write_bytes(b"PK\3\4 but no more")
        with self.assertRaises(SystemExit) as raised:
            convert_checkpoint.main([self.source, self.target])
        self.assertIn("damaged", str(raised.exception))
        with self.assertRaises(SystemExit) as raised:
            convert_checkpoint.main([self.source + "x", self.target])
        self.assertIn("there is no such file", str(raised.exception))


if __name__ == "__main__":
    unittest.main()
