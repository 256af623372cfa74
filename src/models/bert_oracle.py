"""transformers.BertModel in plain functions of torch (transformers itself is not needed), on a state dict in its names."""

import torch
import torch.nn.functional as F

from oracle_support import save

VOCAB, WIDTH, LAYERS, HEADS, INNER, POSITIONS, TYPES, EPS = 60, 32, 3, 4, 80, 24, 2, 1e-6


def random_state():
    state = {}

    def add(name, *shape):
        state[name] = torch.randn(shape) / shape[-1] ** 0.5

    def add_linear(name, outputs, inputs):
        add(name + ".weight", outputs, inputs)
        add(name + ".bias", outputs)

    def add_norm(name):
        state[name + ".weight"], state[name + ".bias"] = 1 + 0.2 * torch.randn(WIDTH), 0.2 * torch.randn(WIDTH)

    add("embeddings.word_embeddings.weight", VOCAB, WIDTH)
    add("embeddings.position_embeddings.weight", POSITIONS, WIDTH)
    add("embeddings.token_type_embeddings.weight", TYPES, WIDTH)
    add_norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        for name in ("query", "key", "value"):
            add_linear(layer + "attention.self." + name, WIDTH, WIDTH)
        add_linear(layer + "attention.output.dense", WIDTH, WIDTH)
        add_norm(layer + "attention.output.LayerNorm")
        add_linear(layer + "intermediate.dense", INNER, WIDTH)
        add_linear(layer + "output.dense", WIDTH, INNER)
        add_norm(layer + "output.LayerNorm")
    return state


def bert(state, ids, mask, types):
    def linear(name, x):
        return x @ state[name + ".weight"].T + state[name + ".bias"]

    def norm(name, x):
        centered = x - x.mean(-1, keepdim=True)
        variance = centered.pow(2).mean(-1, keepdim=True)
        return centered / (variance + EPS).sqrt() * state[name + ".weight"] + state[name + ".bias"]

    def gelu(x):
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))

    words, positions = state["embeddings.word_embeddings.weight"], state["embeddings.position_embeddings.weight"]
    x = words[ids] + positions[: ids.shape[1]] + state["embeddings.token_type_embeddings.weight"][types]
    x = norm("embeddings.LayerNorm", x)
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        parts = []
        for head in range(HEADS):
            columns = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            q, k, v = (linear(f"{layer}attention.self.{name}", x)[..., columns] for name in ("query", "key", "value"))
            scores = q @ k.transpose(1, 2) / (WIDTH // HEADS) ** 0.5
            scores = scores.masked_fill(mask[:, None, :] == 0, -1e30)
            parts.append(scores.softmax(-1) @ v)
        x = norm(layer + "attention.output.LayerNorm", x + linear(layer + "attention.output.dense", torch.cat(parts, -1)))
        inner = gelu(linear(layer + "intermediate.dense", x))
        x = norm(layer + "output.LayerNorm", x + linear(layer + "output.dense", inner))
    return x


def mean_pooled(hidden, mask):
    rows = [row[keep.bool()].mean(0) for row, keep in zip(hidden, mask)]
    return F.normalize(torch.stack(rows), dim=1)


torch.manual_seed(3)
state = random_state()
ids = torch.randint(VOCAB, (3, 11))
types = torch.randint(TYPES, (3, 11))
ones = torch.ones_like(ids)
mask = (torch.arange(11) < torch.tensor([[11], [4], [7]])).long()
whole, masked = bert(state, ids, ones, 0 * types), bert(state, ids, mask, types)
save({
    "state": state,
    "ids": ids,
    "types": types,
    "mask": mask,
    "out": whole,
    "masked_out": masked,
    "embeddings": mean_pooled(whole, ones),
    "masked_embeddings": mean_pooled(masked, mask),
})
