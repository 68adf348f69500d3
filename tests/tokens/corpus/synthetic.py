"""Texts that no package has, generated with fixed seeds: the same on every machine.

Each class is a function that yields (name, text). What they aim at: the borders that a splitter draws between letters,
marks, digits, signs and spaces, the borders that normalization moves, and texts without any border.
"""

import base64
import json
import random
import unicodedata

SURROGATES = range(0xD800, 0xE000)
# The last planes with anything assigned, in which blocks lie sparsely.
DENSE_END = 0x32400
TAGS_AND_SELECTORS = range(0xE0000, 0xE01F0)

SPACES = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
LOOKS_LIKE_SPACE = "\u180e\u200b\u200c\u200d\u2060\ufeff\u00ad\u115f\u3164\u2800\x00"
DIGITS = "0123456789٠١٢٣४५६७０１２３²³¹⁴₅½¼ⅣⅫ①⑳㊀𝟎𝟙𝟚𐒠𑁦〇一二"
CASED = "aZßẞſKÅǅǈDždžİıΣςσἈᾈᲀაᲐꭰᏸﬁʰˠªºๆ々ーՙ"
EMOJI = [
    "😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇩", "1️⃣", "#⃣", "❤️", "❤︎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏿‍🚀", "☺", "™", "🀄", "🫨", "👁️‍🗨️", "✊🏻✊🏿", "\u200d",
    "\ufe0f", "🏽",
]  # fmt: skip
WORDS = "the gateway counts tokens don't we'll I'D naïve Straße 你好 世界 привет мир नमस्ते مرحبا שלום こんにちは 안녕 x86_64 HTTPServer".split()


def classes(added_tokens):
    """All classes but the logs, by name."""
    return [
        ("base64", encoded()),
        ("records", records()),
        ("planes", planes()),
        ("normalization", normalization()),
        ("emoji", emoji()),
        ("bidi", bidi()),
        ("spaces", spaces()),
        ("runs", runs()),
        ("digits", digits()),
        ("letters", letters()),
        ("broken", broken()),
        ("special", special(added_tokens)),
        ("mixtures", mixtures(added_tokens)),
    ]


def seeded(name):
    return random.Random(f"tidegate {name}")


def pick(rng, choices, count):
    return "".join(choices[rng.randrange(len(choices))] for _ in range(count))


def length(rng, most):
    """Short lengths often, long ones seldom: as likely between 1 and 2 as between `most / 2` and `most`."""
    return int(2 ** (rng.random() * most.bit_length())) or 1


def encoded():
    """Base64, wrapped and not, for URLs and not; hexadecimal; identifiers."""
    rng = seeded("base64")
    for number in range(250):
        data = rng.randbytes(length(rng, 20_000))
        yield f"plain/{number}", base64.b64encode(data).decode()
        yield f"wrapped/{number}", base64.encodebytes(data).decode()
        yield f"url/{number}", f"data:image/png;base64,{base64.urlsafe_b64encode(data).decode()}"
        yield f"hex/{number}", data.hex(" ", rng.randrange(1, 9))
        yield f"ids/{number}", " ".join(rng.randbytes(16).hex("-", 4) for _ in range(8))


def records():
    """JSON: compact, indented, with escapes, deep."""
    rng = seeded("records")
    for number in range(800):
        value = node(rng, 6)
        yield f"compact/{number}", json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield f"escaped/{number}", json.dumps(value)
        yield f"indented/{number}", json.dumps(value, ensure_ascii=False, indent=rng.randrange(1, 5))


def node(rng, depth):
    kind = rng.randrange(7) if depth else rng.randrange(4)
    if kind == 0:
        return rng.choice([None, True, False, rng.randrange(10**6), -rng.randrange(10**12), rng.random(), 1e-300])
    if kind < 4:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(6))) + rng.choice(["", "\n", '"', "\\", "\t\u0001", "😀"])
    if kind == 4:
        return [node(rng, depth - 1) for _ in range(rng.randrange(5))]
    return {f"{rng.choice(WORDS)}_{key}": node(rng, depth - 1) for key in range(rng.randrange(7))}


def logs():
    """Access logs, structured logs, stack traces."""
    rng = seeded("logs")
    for number in range(300):
        lines = []
        for _ in range(rng.randrange(1, 120)):
            address = ".".join(str(rng.randrange(256)) for _ in range(4))
            when = f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(10**6):06}Z"
            status, size, took = rng.choice([200, 301, 404, 429, 503]), rng.randrange(10**7), rng.random()
            lines.append(
                rng.choice(
                    [
                        f'{address} - - [{when}] "POST /v1/chat/completions?n={size} HTTP/1.1" {status} {size} "-" "curl/8.5.0" {took:.3f}',
                        json.dumps({"ts": when, "level": "WARN", "peer": address, "took_ms": took * 1000, "status": status}),
                        f"{when}\tERROR\t[worker-{size % 64}] replica gpu-{size % 9}.local:8000 timed out after {took:.6f}s (0x{size:08x})",
                        f'    at com.example.Gateway$Relay.run(Gateway.java:{size % 999})\n  File "/srv/app/relay.py", line {size % 999}, in <lambda>',
                        f"{'=' * (size % 60)} {status} {'.' * (size % 40)} [{took:6.2%}]\r",
                    ]
                )
            )
        yield f"generated/{number}", "\n".join(lines)


def planes():
    """Every code point that is not far from an assigned one, in three surroundings; some of the rest."""
    rng = seeded("planes")
    points = [point for point in range(DENSE_END) if point not in SURROGATES]
    points += TAGS_AND_SELECTORS
    points += [0xE01F0, 0xEFFFF, 0xF0000, 0xFFFFD, 0xFFFFF, 0x100000, 0x10FFFD, 0x10FFFF]
    points += [rng.randrange(DENSE_END, 0x110000) for _ in range(1000)]
    characters = [chr(point) for point in points]
    for start in range(0, len(characters), 32):
        part = characters[start : start + 32]
        name = f"U+{ord(part[0]):04X}"
        yield f"{name}/bare", "".join(part)
        yield f"{name}/after-letter", "".join(f"a{character}" for character in part)
        yield f"{name}/between", "".join(f" {character}1{character}." for character in part)
    for _ in range(2000):
        yield "scattered", pick(rng, characters, length(rng, 300))


def normalization():
    """Composed, decomposed and mixed forms; heaps of marks out of order; Hangul jamo."""
    rng = seeded("normalization")
    scripts = [range(0xC0, 0x250), range(0x1E00, 0x2000), range(0xAC00, 0xD7A4), range(0x900, 0xA80), range(0x30A0, 0x3100),
               range(0xF900, 0xFB50), range(0x2F800, 0x2FA20), range(0x2100, 0x2140), range(0x1D15E, 0x1D165)]  # fmt: skip
    marks = [chr(point) for block in (range(0x300, 0x370), range(0x591, 0x5C8), range(0x64B, 0x660), range(0x1AB0, 0x1AC0),
             range(0x93C, 0x94E), range(0xE38, 0xE4E), range(0x3099, 0x309B), range(0x1D165, 0x1D16A)) for point in block]  # fmt: skip
    jamo = [chr(point) for point in range(0x1100, 0x1200)] + [chr(point) for point in range(0x1161, 0x11C3)] + ["가", "각", "힣", " "]
    for number in range(2500):
        block = rng.choice(scripts)
        text = "".join(chr(rng.choice(block)) + rng.choice(["", "", " ", "a", "1"]) for _ in range(length(rng, 400)))
        forms = ("NFC", "NFD", "NFKC", "NFKD")
        yield f"mixed/{number}", "".join(unicodedata.normalize(rng.choice(forms), part) for part in text.split(" "))
        yield f"decomposed/{number}", unicodedata.normalize("NFD", text)
        base = rng.choice(["a", "o", "e\u0301", "中", "가", " ", "\n", "1", "\u1100", "ा", ""])
        yield f"marks/{number}", (base + pick(rng, marks, length(rng, 60))) * rng.randrange(1, 4)
        yield f"jamo/{number}", pick(rng, jamo, length(rng, 200))
    for count in (30, 31, 32, 33, 100, 1000, 20_000):
        yield f"storm/{count}", "e" + pick(rng, marks, count) + "!"


def emoji():
    """Sequences whole, broken and repeated, between words and alone."""
    rng = seeded("emoji")
    for number in range(3000):
        between = rng.choice(["", "", " ", "\n", "a", "，", " ok "])
        yield str(number), between.join(rng.choice(EMOJI) for _ in range(length(rng, 300)))
    for each in EMOJI:
        yield f"one/{each}", each
        yield f"many/{each}", each * 5000


def bidi():
    """Right-to-left texts with marks, embeddings and isolates strewn in."""
    rng = seeded("bidi")
    controls = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    words = "שלום עולם مرحبا بالعالم שָׁלוֹם السَّلَامُ عَلَيْكُمْ ܫܠܡܐ ߒߞߏ abc 123 ١٢٣".split()
    for number in range(2000):
        yield str(number), "".join(rng.choice(words) + rng.choice(["", " ", rng.choice(controls)]) for _ in range(length(rng, 200)))


def spaces():
    """Storms of white space, and of what only looks like it."""
    rng = seeded("spaces")
    for number in range(6000):
        alphabet = rng.choice([" \n", " \t\n\r", " \r\n", SPACES, SPACES + LOOKS_LIKE_SPACE, " \u3000\xa0"])
        parts = [pick(rng, alphabet, length(rng, 30)) + rng.choice(["", "a", "Z", "1", ".", "/", "'s", "é", "中", "!!"]) for _ in range(length(rng, 60))]
        yield str(number), "".join(parts)
    for number in range(20):
        yield f"long/{number}", pick(rng, rng.choice([" \n", " \t\n\r", SPACES]), 30_000)


def runs():
    """One short text over and over, up to a megabyte."""
    units = ["a", "A", "é", "e\u0301", "ſ", " ", "\n", "\t", "\r", "\r\n", " \n", "\n ", "\xa0", "\u3000", "0", "9", "٣", ".", "-", "=", "_", "/", "*", "'",
             "'s", "中", "的", "ん", "ー", "한", "\u1100", "\u1161", "😀", "🏽", "\u200d", "\u0301", "\u3099", "\x00", "\x7f", "\ufeff", "\ufffd", "\ue000", "\U0010ffff",
             "ab", "aA", "Aa", " a", "a ", "a1", "1a", "a.", "().", "the ", "ǅ", "<|", "|>", "<｜", "▁"]  # fmt: skip
    for unit in units:
        for count in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 3000):
            yield f"{unit!r}*{count}", unit * count
    for unit in ("a", " ", "é", "😀"):
        yield f"{unit!r}, a megabyte", unit * (MEGABYTE // len(unit.encode()))


MEGABYTE = 1_000_000


def digits():
    """Numbers of every script, with separators."""
    rng = seeded("digits")
    for number in range(4000):
        alphabet = rng.choice(["0123456789", "0123456789", "0123456789.,", "0123456789 ", "01", DIGITS, DIGITS + "ab .,-"])
        yield str(number), pick(rng, alphabet, length(rng, 500))


def letters():
    """Words without spaces: cases, scripts and apostrophes in changing order."""
    rng = seeded("letters")
    ascii_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    contractions = ["'s", "'S", "'ſ", "'t", "'re", "'VE", "'ll", "'lL", "'d", "'m", "’s", "''s", "'", "'rE", "'K", "'ı", "'ﬆ"]
    for number in range(4000):
        alphabet = rng.choice([ascii_letters, ascii_letters + "_", CASED, CASED + ascii_letters, "日本語の中文한국어カタカナｶﾅ龥龦〆々ゟヿ", "اأإآبتث", "กขฃคะาำเแ"])
        yield f"plain/{number}", pick(rng, alphabet, length(rng, 2000))
        parts = (pick(rng, alphabet, rng.randrange(5)) + rng.choice(contractions) for _ in range(length(rng, 100)))
        yield f"contractions/{number}", rng.choice(["", " ", "\n"]).join(parts)
    yield "a megabyte", pick(rng, ascii_letters, MEGABYTE)


def broken():
    """What is left of bytes that are not UTF-8, and of UTF-8 that was read as something else."""
    rng = seeded("broken")
    for number in range(2500):
        data = rng.randbytes(length(rng, 2000))
        yield f"replaced/{number}", data.decode("utf-8", "replace")
        yield f"latin/{number}", data.decode("latin-1")
        text = " ".join(rng.choice(WORDS) for _ in range(length(rng, 60)))
        yield f"twice/{number}", text.encode().decode("latin-1")
        cut = bytearray(text.encode())
        for _ in range(rng.randrange(1, 4)):
            cut[rng.randrange(len(cut))] = rng.randrange(256)
        yield f"cut/{number}", bytes(cut).decode("utf-8", "replace")


def special(added_tokens):
    """Added tokens inside of what a user writes: whole, doubled, cut, overlapping, in every surrounding."""
    rng = seeded("special")
    around = ["", " ", "\n", "  ", "a", "1", ".", "<", "|", "\u0301", "\u200d", "中", "<|", "é", "\t\n", "e\u0301"]
    for token in added_tokens:
        other = rng.choice(added_tokens)
        cut = rng.randrange(1, len(token)) if len(token) > 1 else 0
        yield f"{token}", token
        yield f"{token}/words", f"user says {token} and{token}then {token}\n{token} end"
        yield f"{token}/doubled", token * 3 + other + token
        yield f"{token}/cut", token[:cut] + " " + token[cut:] + token[:-1] + token[1:]
        yield f"{token}/overlap", token[:cut] + token + token[cut:] + token[:cut] + other
        yield f"{token}/case", token.upper() + token.lower() + token.swapcase() + unicodedata.normalize("NFKC", token)
        for number in range(4):
            yield f"{token}/around/{number}", rng.choice(around) + token + rng.choice(around) + other + rng.choice(around)


def mixtures(added_tokens):
    """Everything together in one text."""
    rng = seeded("mixtures")
    kinds = [
        lambda: rng.choice(WORDS),
        lambda: pick(rng, SPACES + LOOKS_LIKE_SPACE, rng.randrange(1, 6)),
        lambda: pick(rng, DIGITS, rng.randrange(1, 8)),
        lambda: pick(rng, CASED, rng.randrange(1, 8)),
        lambda: rng.choice(EMOJI),
        lambda: rng.choice(added_tokens),
        lambda: rng.choice(added_tokens)[: rng.randrange(1, 5)],
        lambda: chr(rng.randrange(0x300, 0x370)),
        lambda: chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, DENSE_END)])),
        lambda: pick(rng, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", rng.randrange(1, 5)),
        lambda: pick(rng, "«»„“”…—·¿¡、。「」！？€£¥§©±×÷∑√∞≠", rng.randrange(1, 4)),
        lambda: "\n" * rng.randrange(1, 4),
        lambda: " ",
    ]
    for number in range(25_000):
        yield str(number), "".join(rng.choice(kinds)() for _ in range(length(rng, 120)))
