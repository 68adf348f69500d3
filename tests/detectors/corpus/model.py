"""Makes what the detector for gibberish knows of letters, from the tuning share of the clean corpus.

    model.py --clean FOLDER --out FOLDER

`letters.bin`: how surprising a letter is after two others, in the words of all languages with Latin letters: 28 x 28 x 28
costs of four bits, in bits of surprise, the lower half of a byte first. Symbol 0 is the border of a word, 1 to 26 are the
letters, 27 is any other letter. `han.bin`: a bit for each character of U+4E00 to U+9FFF, whether it is among the common.
"""

import argparse
import collections
import json
import math
import pathlib
import re

SYMBOLS = 28
MOST_BITS = 15
# Makers of noise, in which words would teach nothing, and languages of one kind of sentence.
LEFT_OUT = {"base64", "hex-dumps", "grids", "notations", "csv", "essays", "logs", "tables", "markup"}
# So many languages are in one kind only.
WEIGHTS = {"declaration": 4}
# The smoothing: how much a pair's letters count beside those that followed the pair, in shares of all words.
SMOOTHING = 1e-6
COMMON_HAN = 4000
HAN = range(0x4E00, 0xA000)
WORD = re.compile(r"(?<![\w'’])[A-Za-z\u00c0-\u024f\u1e00-\u1eff][a-z\u00df-\u024f\u1e00-\u1eff]{2,18}(?!\w)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clean", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args()
    letters, han = counted(options.clean)
    (options.out / "letters.bin").write_bytes(packed(costs(letters)))
    (options.out / "han.bin").write_bytes(bits({character for character, _ in han.most_common(COMMON_HAN)}))


def is_held_out(document):
    """As the evaluation shares blocks out: FNV-1a of the document's name."""
    digest = 0xCBF29CE484222325
    for byte in document.encode():
        digest = ((digest ^ byte) * 0x100000001B3) % 2**64
    return (digest ^ digest >> 29) % 10 < 3


def counted(folder):
    letters, han = collections.Counter(), collections.Counter()
    for path in sorted(folder.glob("*.jsonl")):
        here = collections.Counter()
        for line in path.open(encoding="utf-8"):
            block = json.loads(line)
            if not is_held_out(block["document"]):
                han.update(re.findall("[\u4e00-\u9fff]", block["text"]))
                if path.stem not in LEFT_OUT:
                    for word, count in collections.Counter(WORD.findall(block["text"])).items():
                        for gram in grams(word):
                            here[gram] += count
        # A kind weighs by the root of its size: ten times the text does not tell ten times as much.
        weight = WEIGHTS.get(path.stem, 1) / math.sqrt(sum(here.values()) or 1)
        for gram, count in here.items():
            letters[gram] += count * weight
    return letters, han


def grams(word):
    symbols = [0, 0, *map(symbol, word), 0]
    return zip(symbols, symbols[1:], symbols[2:])


def symbol(character):
    small = character.lower()[0]
    return ord(small) - 96 if "a" <= small <= "z" else 27


def costs(letters):
    everything = sum(letters.values())
    pairs, after, singles = collections.Counter(), collections.Counter(), collections.Counter()
    for (first, second, third), weight in letters.items():
        pairs[first, second] += weight
        after[second, third] += weight
        singles[second] += weight
    little = SMOOTHING * everything
    for first in range(SYMBOLS):
        for second in range(SYMBOLS):
            for third in range(SYMBOLS):
                base = (after[second, third] + little / SYMBOLS) / (singles[second] + little)
                chance = (letters[first, second, third] + little * base) / (pairs[first, second] + little)
                yield min(MOST_BITS, round(-math.log2(chance)))


def packed(values):
    values = list(values)
    return bytes(low | high << 4 for low, high in zip(values[::2], values[1::2]))


def bits(characters):
    place = [chr(point) in characters for point in HAN]
    return bytes(sum(bit << shift for shift, bit in enumerate(place[start : start + 8])) for start in range(0, len(place), 8))


if __name__ == "__main__":
    main()
