"""What failed answers are like. Each sample is {"document", "text", "from", "unit"}: most begin well, with a part of a
clean block, and fail from the byte `from` on. `unit` is how many bytes it takes until a loop comes around, 0 where
nothing does. `document` names the clean block that it began with, so that what is tuned on is never what decides."""

import random

from tokenizers import Tokenizer

from generated import WORDS

# Long enough that whoever finds nothing in it will not find it later.
LASTING = 40_000
SENTENCES = {
    "en": "I think that the best way to solve this problem is to look at the data first. ",
    "de": "Ich glaube, dass wir zuerst die Daten ansehen sollten, bevor wir etwas entscheiden. ",
    "fr": "Je pense qu'il faut d'abord regarder les données avant de prendre une décision. ",
    "es": "Creo que primero deberíamos mirar los datos antes de tomar una decisión. ",
    "ru": "Я думаю, что сначала нужно посмотреть на данные, а потом решать. ",
    "zh": "我认为我们应该先看一下数据，然后再做决定。",
    "ja": "まずデータを見てから決めるべきだと思います。",
    "ko": "먼저 데이터를 살펴본 다음에 결정해야 한다고 생각합니다. ",
    "ar": "أعتقد أنه يجب علينا أن ننظر إلى البيانات أولا قبل أن نقرر. ",
    "he": "אני חושב שכדאי להסתכל קודם על הנתונים ורק אחר כך להחליט. ",
    "hi": "मुझे लगता है कि हमें पहले आंकड़े देखने चाहिए और फिर फैसला करना चाहिए। ",
    "th": "ฉันคิดว่าเราควรดูข้อมูลก่อนแล้วค่อยตัดสินใจ",
}
BEGINNINGS = ("books", "essays", "code-python", "cjk", "right-to-left", "translations", "markdown", "json")


def kinds(clean, tokenizers):
    """Each kind of failure with its samples: loops first, then gibberish."""
    opened = {path.split("/")[-2]: Tokenizer.from_file(path) for path in tokenizers}
    return [
        ("loop-exact", exact(clean)),
        ("loop-block", blocks(clean)),
        ("loop-one-token", one_token(clean, opened)),
        ("loop-short-words", short_words(clean)),
        ("loop-languages", languages(clean)),
        ("loop-code", code(clean)),
        ("loop-tool-arguments", arguments(clean)),
        ("loop-whitespace", white(clean)),
        ("loop-case", case(clean)),
        ("loop-alternating", alternating(clean)),
        ("loop-growing", growing(clean)),
        ("loop-one-word-varies", varying(clean)),
        ("counter-prose", counter(clean)),
        ("counter-figures", figures(clean)),
        ("gibberish-characters-1", walks(clean, 0)),
        ("gibberish-characters-1-other", walks(clean, 0, is_latin=False)),
        ("gibberish-characters-2", walks(clean, 1)),
        ("gibberish-characters-3", walks(clean, 2)),
        ("gibberish-tokens-uniform", uniform(clean, opened)),
        ("gibberish-tokens-1", token_walks(clean, opened, 0)),
        ("gibberish-tokens-2", token_walks(clean, opened, 1)),
        ("gibberish-tokens-hot", hot(clean, opened)),
        ("gibberish-encoding", encodings(clean)),
        ("gibberish-replaced", replaced(clean)),
        ("gibberish-bytes", noise(clean)),
    ]


def seeded(name):
    return random.Random(f"tidegate failures {name}")


def begun(rng, clean):
    """A part of a clean block, and the document it is from: a third of the failures begin at once."""
    block = rng.choice(clean[rng.choice(BEGINNINGS)])
    return block["document"], "" if rng.random() < 0.33 else block["text"][: rng.randrange(100, 3000)] + "\n"


def sample(document, beginning, failure, unit):
    return {"document": document, "text": beginning + failure, "from": len(beginning.encode()), "unit": unit}


def looped(rng, clean, unit):
    document, beginning = begun(rng, clean)
    size = len(unit.encode())
    return sample(document, beginning, unit * (1 + max(LASTING, 8 * size) // size), size)


def prose(rng, clean, shortest, longest, kind="books"):
    text = rng.choice(clean[kind])["text"]
    length = rng.randrange(shortest, longest)
    start = rng.randrange(max(1, len(text) - length))
    return text[start : start + length]


def exact(clean):
    rng = seeded("exact")
    for _ in range(600):
        yield looped(rng, clean, prose(rng, clean, 12, 400).strip() + rng.choice([" ", "\n", "\n\n"]))


def blocks(clean):
    rng = seeded("blocks")
    for _ in range(300):
        yield looped(rng, clean, prose(rng, clean, 400, 2000, rng.choice(["books", "essays", "markdown", "translations"])) + "\n")


def one_token(clean, opened):
    """A sampler that is stuck: one token of a real vocabulary, of letters."""
    rng = seeded("one token")
    for number in range(400):
        tokenizer = opened[rng.choice(sorted(opened))]
        token = ""
        while not (token.strip() and any(character.isalpha() for character in token) and "\ufffd" not in token):
            token = tokenizer.decode([rng.randrange(tokenizer.get_vocab_size())])
        yield looped(rng, clean, token if number % 4 else "!")


def short_words(clean):
    rng = seeded("short words")
    for _ in range(300):
        word = rng.choice(["the", "The the", "and", "I", "no", "of the", "yes, ", "ha", "very", "la", *WORDS])
        yield looped(rng, clean, word + " ")


def languages(clean):
    rng = seeded("languages")
    for number in range(360):
        language = list(SENTENCES)[number % len(SENTENCES)]
        yield looped(rng, clean, SENTENCES[language])


def code(clean):
    rng = seeded("code")
    for _ in range(400):
        kind = rng.choice([kind for kind in clean if kind.startswith("code-") and clean[kind]])
        lines = rng.choice(clean[kind])["text"].splitlines(keepends=True)
        start = rng.randrange(max(1, len(lines) - 12))
        unit = "".join(lines[start : start + rng.randrange(2, 12)])[:2000]
        if sum(character.isalpha() for character in unit) > 20:
            yield looped(rng, clean, unit)


def arguments(clean):
    rng = seeded("arguments")
    for _ in range(300):
        unit = f'{{"{rng.choice(WORDS)}": "{prose(rng, clean, 10, 80)}", "{rng.choice(WORDS)}": {rng.randrange(99)}}}, '
        yield looped(rng, clean, unit.replace("\n", " "))


def white(clean):
    rng = seeded("white")
    for _ in range(200):
        yield looped(rng, clean, rng.choice([" ", "\n", "\t", "\n\n", " \n", "\r\n", "\u00a0", "\u3000", "  \n\n"]))


def case(clean):
    """The same words in the same order, in small and in capital letters as it comes."""
    rng = seeded("case")
    for _ in range(200):
        document, beginning = begun(rng, clean)
        words, failure = prose(rng, clean, 8, 60).split() or ["the"], []
        while len(failure) < LASTING // 5:
            failure += [getattr(word, rng.choice(["lower", "upper", "title"]))() for word in words]
        yield sample(document, beginning, " ".join(failure)[:LASTING], len(" ".join(words).encode()) + 1)


def alternating(clean):
    rng = seeded("alternating")
    for _ in range(400):
        document, beginning = begun(rng, clean)
        phrases = [prose(rng, clean, 15, 120).strip().replace("\n", " ") + ". " for _ in range(rng.randrange(2, 7))]
        failure = "".join(rng.choice(phrases) for _ in range(LASTING // 20))
        while len(failure) < LASTING:
            failure += rng.choice(phrases)
        yield sample(document, beginning, failure[:LASTING], sum(len(phrase.encode()) for phrase in phrases))


def growing(clean):
    """Each time a little more of the same."""
    rng = seeded("growing")
    for _ in range(200):
        document, beginning = begun(rng, clean)
        words = (prose(rng, clean, 10, 60).split() or ["the"])[:6]
        failure, count = "", 1
        while len(failure) < LASTING:
            failure += " ".join(words[place % len(words)] for place in range(count)) + rng.choice([". ", "\n"])
            count += 1
        yield sample(document, beginning, failure, sum(map(len, words)) * 4)


def varying(clean):
    """The same sentence with one word that changes, among few."""
    rng = seeded("varying")
    for _ in range(300):
        document, beginning = begun(rng, clean)
        words = prose(rng, clean, 40, 160).split() or ["the"]
        place, others = rng.randrange(len(words)), rng.sample(WORDS, 5)
        failure = ""
        while len(failure) < LASTING:
            failure += " ".join([*words[:place], rng.choice(others), *words[place + 1 :]]) + ". "
        yield sample(document, beginning, failure, len(" ".join(words).encode()) * 3)


def counter(clean):
    """Sentences that count on, and say nothing else."""
    rng = seeded("counter")
    for _ in range(300):
        document, beginning = begun(rng, clean)
        sentence, count = prose(rng, clean, 30, 200).strip().replace("\n", " "), rng.randrange(20)
        shape, failure = rng.choice(["Step {}: {}\n", "{}. {}\n", "({}) {} ", "**Attempt {}** {}\n\n"]), ""
        while len(failure) < 2 * LASTING:
            failure += shape.format(count, sentence)
            count += 1
        yield sample(document, beginning, failure, len(sentence.encode()) + 10)


def figures(clean):
    """The same figure without end: what a grid of it looks like, until it does not stop."""
    rng = seeded("figures")
    for _ in range(100):
        document, beginning = begun(rng, clean)
        unit = rng.choice(["0, ", "0 ", "0.0, ", "1", "0", "-", "=", "[0, 0], ", "null, "])
        yield sample(document, beginning, unit * (240_000 // len(unit)), len(unit))


def walks(clean, context, is_latin=True):
    """A walk over the characters of clean texts of one language, each drawn by what `context` characters before it."""
    rng = seeded(f"characters {context} {is_latin}")
    kinds = ("books", "translations", "declaration", "essays") if is_latin else ("books", "cjk", "right-to-left", "declaration")
    for number in range(300):
        block = wanted(rng, clean[kinds[number % len(kinds)]], is_latin)
        yield walked(rng, clean, list(block["text"]), context, block["document"], 12_000)


def wanted(rng, blocks, is_latin):
    """A long one whose letters are Latin, or are not."""
    while True:
        block = rng.choice(blocks)
        letters = [character for character in block["text"] if character.isalpha()]
        latin = sum(character < "\u0250" for character in letters)
        if len(letters) > 2000 and (latin * 10 > len(letters) * 9) == is_latin:
            return block


def walked(rng, clean, units, context, document, length):
    follows = {}
    for place in range(context, len(units)):
        follows.setdefault(tuple(units[place - context : place]), []).append(units[place])
    state, out = tuple(units[:context]), []
    while len(out) < length:
        choices = follows.get(state)
        if not choices:
            start = rng.randrange(len(units) - context)
            state = tuple(units[start : start + context])
            continue
        out.append(rng.choice(choices))
        state = (*state, out[-1])[1:] if context else ()
    _, beginning = begun(rng, clean)
    return sample(document, beginning, "".join(out), 0)


def uniform(clean, opened):
    """Any token of the vocabulary, each as likely as any other: what weights of noise give."""
    rng = seeded("uniform")
    for number in range(400):
        document, beginning = begun(rng, clean)
        tokenizer = opened[sorted(opened)[number % len(opened)]]
        ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(2500)]
        yield sample(document, beginning, tokenizer.decode(ids), 0)


def corpus_ids(clean, tokenizer, kind, rng):
    texts = [block["text"] for block in rng.sample(clean[kind], min(60, len(clean[kind])))]
    return tokenizer.encode("\n".join(texts)[:400_000]).ids


def token_walks(clean, opened, context):
    """A walk over tokens of clean texts, each drawn by what `context` tokens before it."""
    rng = seeded(f"tokens {context}")
    for number in range(240):
        tokenizer = opened[sorted(opened)[number % len(opened)]]
        if number % 24 < 3:
            kind = ("books", "books", "essays", "code-python", "translations", "cjk", "markdown", "books")[number // 24 % 8]
            pool = {name: corpus_ids(clean, opened[name], kind, rng) for name in sorted(opened)}
        ids = pool[sorted(opened)[number % len(opened)]]
        follows = {}
        for place in range(context, len(ids)):
            follows.setdefault(tuple(ids[place - context : place]), []).append(ids[place])
        state, out = tuple(ids[:context]), []
        while len(out) < 2500:
            choices = follows.get(state) or ids
            out.append(rng.choice(choices))
            state = (*state, out[-1])[1:] if context else ()
        document, beginning = begun(rng, clean)
        yield sample(document, beginning, tokenizer.decode(out), 0)


def hot(clean, opened):
    """A small language model at a high temperature: what followed the last token somewhere, or with a chance that grows
    with the temperature, any token at all."""
    rng = seeded("hot")
    for number in range(400):
        tokenizer = opened[sorted(opened)[number % len(opened)]]
        if number % 20 < 3:
            kind = ("books", "essays", "markdown", "translations", "code-python")[number // 20 % 5]
            pool = {name: corpus_ids(clean, opened[name], kind, rng) for name in sorted(opened)}
        ids = pool[sorted(opened)[number % len(opened)]]
        follows, astray = {}, rng.choice([0.3, 0.4, 0.5, 0.7])
        for before, after in zip(ids, ids[1:]):
            follows.setdefault(before, []).append(after)
        out = [rng.choice(ids)]
        while len(out) < 2500:
            choices = None if rng.random() < astray else follows.get(out[-1])
            out.append(rng.choice(choices) if choices else rng.randrange(tokenizer.get_vocab_size()))
        document, beginning = begun(rng, clean)
        yield sample(document, beginning, tokenizer.decode(out), 0)


def encodings(clean):
    """UTF-8 that was read as something else, or twice, or the other way around."""
    rng = seeded("encodings")
    ways = [("utf-8", "latin-1"), ("utf-8", "cp1252"), ("utf-8", "gbk"), ("utf-8", "cp1251"), ("utf-8", "twice"), ("utf-8", "cp437"), ("utf-16-le", "latin-1")]
    for number in range(560):
        read_as = ways[number % len(ways)]
        kind = rng.choice(["cjk", "right-to-left", "poetry", "translations", "languages"])
        if kind == "languages":
            source = SENTENCES[rng.choice(["de", "fr", "es", "ru", "zh", "ja", "ko", "ar", "he", "hi", "th"])]
            source = " ".join(rng.sample(source.split(), len(source.split())) * 3 + [source])
            document = f"languages/{number}"
        else:
            block = rng.choice(clean[kind])
            document, source = block["document"], block["text"][:8000]
        if sum(ord(character) > 127 for character in source) < 100:
            continue
        data = source.encode(read_as[0], "ignore")
        if read_as[1] == "twice":
            wrong = data.decode("latin-1").encode().decode("latin-1")
        else:
            wrong = data.decode(read_as[1], "ignore")
        _, beginning = begun(rng, clean)
        yield sample(document, beginning, wrong, 0)


def replaced(clean):
    """Bytes that are not UTF-8, as a decoder that forgives passes them on: cut sequences, other encodings."""
    rng = seeded("replaced")
    for number in range(300):
        document, beginning = begun(rng, clean)
        block = rng.choice(clean[rng.choice(["cjk", "right-to-left", "lyrics"])])["text"][:6000]
        if sum(ord(character) > 127 for character in block) < 500:
            continue
        data = block.encode()
        shape = number % 3
        if shape == 0:
            wrong = b"".join(data[place : place + 2] for place in range(0, len(data) - 3, 3)).decode("utf-8", "replace")
        elif shape == 1:
            wrong = block.encode(rng.choice(["gbk", "utf-16-le"]), "ignore").decode("utf-8", "replace")
        else:
            wrong = "".join(character if rng.random() < 0.7 else "\ufffd" for character in block)
        if wrong.count("\ufffd") > 100:
            yield sample(document, beginning, wrong, 0)


def noise(clean):
    rng = seeded("noise")
    for number in range(200):
        document, beginning = begun(rng, clean)
        data = rng.randbytes(6000)
        yield sample(document, beginning, data.decode("utf-8", "replace") if number % 2 else data.decode("latin-1"), 0)
