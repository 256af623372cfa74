"""Tests of convert_checkpoint.py."""

import collections
import contextlib
import io
import pathlib
import tarfile
import tempfile
import unittest
import zipfile

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
        return self.convert_source(*options)

    def convert_source(self, *options):
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
        torch.save(checkpoint, self.source)
        return self.error_of_source(*options)

    def error_of_source(self, *options):
        with self.assertRaises(SystemExit) as raised:
            self.convert_source(*options)
        self.assertFalse(pathlib.Path(self.target).exists())
        return str(raised.exception)

    def test_ordered_and_plain_dicts(self):
        self.assert_state(self.convert(collections.OrderedDict(self.state))[0])
        self.assert_state(self.convert(dict(self.state))[0])

    def test_legacy_format(self):
        self.assert_state(self.convert(self.state, _use_new_zipfile_serialization=False)[0])

    def test_files_saved_on_a_gpu(self):
        # Where a tensor was is a text in the pickle; this machine need not have a GPU to write another.
        def on_gpu(pickled):
            self.assertIn(b"\3\0\0\0cpu", pickled)
            return pickled.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:0")

        torch.save(self.state, self.source, _use_new_zipfile_serialization=False)
        pathlib.Path(self.source).write_bytes(on_gpu(pathlib.Path(self.source).read_bytes()))
        self.assert_state(self.convert_source()[0])

        torch.save(self.state, self.source)
        with zipfile.ZipFile(self.source) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(self.source, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, on_gpu(data) if name.endswith("data.pkl") else data)
        self.assert_state(self.convert_source()[0])

    def test_wrapped_state_dicts(self):
        for name in ("state_dict", "model", "model_state_dict"):
            self.assert_state(self.convert({name: self.state, "epoch": 3, "loss": torch.ones(())})[0])
        self.assert_state(self.convert({"model": {"state_dict": self.state}})[0])
        self.assert_state(self.convert({"model": {"w": torch.ones(1)}, "ema": self.state}, "--key", "ema")[0])

    def test_prefix_of_data_parallel(self):
        prefixed = {"module." + name: tensor for name, tensor in self.state.items()}
        tensors, text = self.convert(prefixed)
        self.assert_state(tensors)
        self.assertIn("'module.' is taken off all names", text)
        self.assertIn("module.0.weight", self.convert(prefixed, "--keep-prefix")[0])
        self.assertIn("module.a", self.convert({"module.a": torch.ones(2), "b": torch.ones(2)})[0])

    def test_shared_and_strided_tensors(self):
        weight = torch.arange(24.0).view(4, 6)
        tensors, text = self.convert({"a": weight, "b": weight, "row": weight[1], "t": torch.arange(15.0).view(3, 5).t()})
        self.assertTrue(torch.equal(tensors["a"], weight))
        self.assertTrue(torch.equal(tensors["b"], weight))
        self.assertTrue(torch.equal(tensors["row"], weight[1]))
        self.assertTrue(torch.equal(tensors["t"], torch.arange(15.0).view(3, 5).t()))
        self.assertIn("'b' shared memory with 'a'; each has its own copy now", text)

    def test_dtypes_and_shapes(self):
        for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.complex64, torch.int8, torch.bool):
            tensor = torch.arange(6).view(2, 3).to(dtype)
            got = self.convert({"w": tensor, "scalar": tensor[1, 1], "empty": tensor[:0]})[0]
            for name, expected in (("w", tensor), ("scalar", tensor[1, 1]), ("empty", tensor[:0])):
                self.assertEqual((got[name].dtype, got[name].shape), (dtype, expected.shape))
                self.assertEqual(got[name].tolist(), expected.tolist())

    def test_parameters_and_extra_state(self):
        tensors, text = self.convert({"w": torch.nn.Parameter(torch.ones(2)), "fc._extra_state": {"version": 1}})
        self.assertEqual(list(tensors), ["w"])
        self.assertIn("'fc._extra_state' is left out: it is a dict of {'version': int}", text)

    def test_counters_of_batch_norms_from_before_they_counted(self):
        old = {name: value for name, value in self.state.items() if name != "1.num_batches_tracked"}
        tensors, text = self.convert(old)
        self.assert_state(tensors)
        self.assertIn("'1.num_batches_tracked' is missing", text)
        self.assertNotIn("is missing", self.convert(self.state)[1])
        alone = {"running_mean": torch.ones(2), "my_running_mean": torch.ones(2)}
        self.assertEqual(sorted(self.convert(alone)[0]), ["my_running_mean", "num_batches_tracked", "running_mean"])

    def test_summary(self):
        text = self.convert(self.state)[1]
        self.assertIn("0.weight", text)
        self.assertIn("7 tensors", text)

    def test_pickled_objects_are_refused(self):
        error = self.error_of({"w": torch.ones(2), "x": NotATensor()})
        self.assertIn(f"it holds more than tensors ({NotATensor.__module__}.NotATensor), which is not read", error)
        self.assertIn("could run code", error)
        self.assertIn("torch.save(model.state_dict(), path)", error)

    def test_formats_that_need_unpickling_are_refused(self):
        torch.jit.script(self.model).save(self.source)
        self.assertIn("it is a TorchScript archive", self.error_of_source())
        with tarfile.open(self.source, "w") as archive:
            for name in ("storages", "tensors", "pickle"):
                archive.addfile(tarfile.TarInfo(name))
        self.assertIn("the tar format of before 2017", self.error_of_source())

    def test_what_is_no_state_dict_is_described(self):
        self.assertIn("{'epoch': int, 'lr': float}", self.error_of({"epoch": 3, "lr": 0.1}))
        self.assertIn("it is a list", self.error_of([torch.ones(2)]))
        self.assertIn("it is a dict of {0: Tensor}", self.error_of({0: torch.ones(2)}))
        self.assertIn("it is a dict of {}", self.error_of({}))
        error = self.error_of({"model": self.state}, "--key", "ema")
        self.assertIn("there is no 'ema' in it; it is a dict of {'model': OrderedDict}", error)

    def test_tensors_that_the_format_cannot_hold_are_named(self):
        for tensor, error in (
            (torch.quantize_per_tensor(torch.ones(2), 0.1, 3, torch.quint8), "'w' has the quantized dtype torch.quint8"),
            (torch.ones(2, 2).to_sparse(), "'w' has the layout torch.sparse_coo"),
            (torch.ones(2, dtype=torch.complex128), "'w' has dtype torch.complex128"),
            (torch.ones(2, device="meta"), "'w' has no data"),
        ):
            self.assertIn(error, self.error_of({"w": tensor}))

    def test_damaged_and_missing_files(self):
        for data in (b"", b"hello", b"PK\3\4 but no more"):
            pathlib.Path(self.source).write_bytes(data)
            self.assertIn("or is damaged", self.error_of_source())
        pathlib.Path(self.source).unlink()
        self.assertIn("No such file or directory", self.error_of_source())

    def test_the_output_takes_the_place_of_a_file_but_not_of_the_checkpoint(self):
        pathlib.Path(self.target).write_text("an older file")
        self.assert_state(self.convert(self.state)[0])
        with self.assertRaisesRegex(SystemExit, "give it another name"):
            convert_checkpoint.main([self.source, self.source])
        with self.assertRaisesRegex(SystemExit, "cannot be written"):
            convert_checkpoint.main([self.source, self.folder.name])
        with self.assertRaisesRegex(SystemExit, "cannot be written"):
            convert_checkpoint.main([self.source, self.folder.name + "/nowhere/x"])


if __name__ == "__main__":
    unittest.main()
