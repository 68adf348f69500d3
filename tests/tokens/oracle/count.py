"""What Python's `tokenizers` makes of the corpus: the oracle of the exactness test.

    count.py --corpus FOLDER --out FOLDER NAME=TOKENIZER_JSON...

For each tokenizer, out/NAME/CLASS.txt has a line per sample of CLASS.jsonl: how many ids, their digest, and the digest
of the text as the tokenizer normalizes it, or "-" when it does not. A digest is the first eight bytes of the SHA-256 in
hexadecimal; for one of ids each is four bytes, least significant first. Special tokens are not added. unassigned.txt
has a line for each range of characters that the library takes for unassigned: the first and the last, in hexadecimal.

Its splitters run on Oniguruma, as those of the engines do that use this library: other code than the gateway's, and
than what the gateway's tables are compiled and checked with.
"""

import argparse
import array
import hashlib
import json
import pathlib
import sys

import tokenizers

BATCH = 500


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("tokenizers", nargs="+", metavar="NAME=TOKENIZER_JSON")
    options = parser.parse_args()
    pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
    pathlib.Path(options.out, "unassigned.txt").write_text(unassigned(), encoding="ascii")
    for pair in options.tokenizers:
        name, path = pair.split("=", 1)
        tokenizer = tokenizers.Tokenizer.from_file(path)
        out = pathlib.Path(options.out) / name
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(pathlib.Path(options.corpus).glob("*.jsonl")):
            with open(out / f"{path.stem}.txt", "w", encoding="ascii") as lines:
                for texts in batches(path):
                    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
                    for text, encoding in zip(texts, encodings):
                        ids = digest(as_bytes(encoding.ids))
                        lines.write(f"{len(encoding.ids)} {ids} {normalized(tokenizer, text)}\n")


def unassigned():
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    splitter = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\p{Cn}+"), "removed", invert=True)
    found = splitter.pre_tokenize_str("".join(map(chr, points)))
    return "".join(f"{points[start]:x} {points[end - 1]:x}\n" for _, (start, end) in found)


def batches(path):
    texts = []
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            texts.append(json.loads(line)["text"])
            if len(texts) == BATCH:
                yield texts
                texts = []
    yield texts


def normalized(tokenizer, text):
    if text.isascii() or tokenizer.normalizer is None:
        return "-"
    return digest(tokenizer.normalizer.normalize_str(text).encode())


def as_bytes(ids):
    words = array.array("I", ids)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def digest(data):
    return hashlib.sha256(data).digest()[:8].hex()


if __name__ == "__main__":
    main()
