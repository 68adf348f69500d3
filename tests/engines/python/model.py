"""Makes a tiny Qwen3 with random weights and the real tokenizer: python model.py TOKENIZER_FOLDER OUT

What it says means nothing, which is what tests of a gateway want: any token, halves of characters among them, and no
end before the bound.
"""

import pathlib
import shutil
import sys

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

CONFIG = Qwen3Config(
    # Of the tokenizer, padded as Qwen's own.
    vocab_size=151_936,
    bos_token_id=151_643,
    eos_token_id=151_645,
    tie_word_embeddings=True,
    max_position_embeddings=4_096,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    # vLLM's attention on CPUs takes no smaller ones.
    head_dim=64,
)


def main():
    tokenizer, out = map(pathlib.Path, sys.argv[1:])
    torch.manual_seed(1)
    model = Qwen3ForCausalLM(CONFIG).to(torch.bfloat16)
    model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, out)


if __name__ == "__main__":
    main()
