"""Clean texts that no package has, generated with fixed seeds. Most are what a careless detector takes for a failure:
whatever repeats itself because the task is like that, and whatever looks like noise because it is data."""

import base64
import json
import random
import uuid

NAMES = "alice bob carol dave erin frank grace heidi ivan judy mallory niaj olivia peggy rupert sybil trent victor wendy".split()
PLACES = "Oslo Lima Accra Hanoi Quito Perth Kyoto Turin Delhi Lagos Dakar Sofia Minsk Tunis Riga Bergen Porto Davao".split()
WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand part "
    "place case week company system program question work government number night point home water room mother area money "
    "story fact month lot right study book eye job word business issue side kind head house service friend father power hour "
    "game line end member law car city community name president team minute idea body information back parent face others"
).split()


def kinds():
    """Each kind with its documents: (name, text)."""
    return [
        ("logs", logs()),
        ("csv", csv()),
        ("base64", encoded()),
        ("hex-dumps", dumps()),
        ("tables", tables()),
        ("ascii-art", drawings()),
        ("lyrics", refrains()),
        ("grids", grids()),
        ("enumerations", enumerations()),
        ("json", records()),
        ("notations", notations()),
        ("markup", markup()),
        ("essays", essays()),
    ]


def seeded(name):
    return random.Random(f"tidegate detectors {name}")


def moment(rng, second):
    return f"2026-03-{1 + second // 86400 % 28:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.{rng.randrange(1000):03}Z"


def logs():
    """Access logs, structured logs, heartbeats that differ in the moment only, progress, tests, installs, traces."""
    rng = seeded("logs")
    for number in range(900):
        lines, second, shape = [], rng.randrange(10**6), number % 9
        host = f"{rng.choice(WORDS)}-{rng.randrange(9)}"
        for line in range(rng.randrange(20, 400)):
            second += rng.randrange(1, 30)
            when = moment(rng, second)
            who, word, size = rng.choice(NAMES), rng.choice(WORDS), rng.randrange(10**5)
            lines.append(
                [
                    f'10.0.{size % 7}.{size % 251} - {who} [{when}] "GET /{word}/{size} HTTP/1.1" {rng.choice([200, 200, 304, 404])} {size}',
                    json.dumps({"ts": when, "level": rng.choice(["INFO", "WARN"]), "msg": f"{word} done", "took_ms": size / 100}),
                    f"{when} INFO  [{host}] health check passed, all replicas are up",
                    f"{when} DEBUG {word}.{who}: retrying connection to {host}:8080 (attempt {line + 1})",
                    f"[{line + 1:4}/400] Compiling {word}-{who} v{size % 9}.{size % 13}.{size % 7}",
                    f"test {word}::{who}::works_with_{rng.choice(WORDS)} ... ok",
                    f"epoch {line + 1:3}: loss={1 / (line + 1):.4f} accuracy={1 - 1 / (line + 2):.4f} lr=1e-{size % 4 + 2}",
                    f"  at {word}.{who}(/srv/app/{word}.js:{size % 900}:{size % 80})",
                    f"64 bytes from 10.0.0.{size % 3}: icmp_seq={line + 1} ttl=64 time=0.{size % 900} ms",
                ][shape]
            )
        yield f"generated/{shape}/{number}", "\n".join(lines)


def csv():
    """Rows with numbers, with categories alone, with gaps, with one column that never changes."""
    rng = seeded("csv")
    for number in range(900):
        shape, lines = number % 6, []
        for row in range(rng.randrange(30, 600)):
            figures = [rng.randrange(10**4), rng.random() * 100, rng.random()]
            lines.append(
                [
                    f"{row},{rng.choice(NAMES)},{rng.choice(PLACES)},{figures[0]},{figures[1]:.2f}",
                    f"{rng.choice(['yes', 'no'])},{rng.choice(['male', 'female'])},{rng.choice(['first', 'second', 'third'])},{rng.choice(['alive', 'dead'])}",
                    f"2026-01-{row % 28 + 1:02};{figures[1]:.1f};;;;{figures[2]:.3f};",
                    ",".join(str(rng.choice([0, 0, 0, 0, 1])) for _ in range(24)),
                    f"{row + 1},OK,active,default,standard,{figures[0]}",
                    "\t".join(f"{rng.gauss(0, 1):.6f}" for _ in range(6)),
                ][shape]
            )
        yield f"generated/{shape}/{number}", "\n".join(lines)


def encoded():
    """Base64 of noise, of pictures with areas of one colour, of text; tokens, digests, keys, wrapped and not."""
    rng = seeded("base64")
    for number in range(900):
        size, shape = rng.randrange(400, 12_000), number % 8
        noise = rng.randbytes(size)
        row = bytes([rng.randrange(256)] * rng.randrange(2, 60)) + rng.randbytes(rng.randrange(0, 6))
        picture = b"BM" + b"".join(row if rng.random() < 0.9 else rng.randbytes(len(row)) for _ in range(size // len(row)))
        yield f"generated/{shape}/{number}", [
            lambda: base64.b64encode(noise).decode(),
            lambda: base64.encodebytes(noise).decode(),
            lambda: f'<img src="data:image/bmp;base64,{base64.b64encode(picture).decode()}">',
            lambda: base64.b64encode(" ".join(rng.choice(WORDS) for _ in range(size // 6)).encode()).decode(),
            lambda: "\n".join(f"{rng.randbytes(32).hex()}  {rng.choice(WORDS)}-{rng.randrange(99)}.tar.gz" for _ in range(size // 80)),
            lambda: "\n".join(str(uuid.UUID(bytes=rng.randbytes(16))) for _ in range(size // 37)),
            lambda: base64.b64encode(bytes(rng.randrange(20, 900)) + noise[:600]).decode(),
            lambda: "\n".join("".join(rng.choice("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!@#$%") for _ in range(16)) for _ in range(size // 17)),
        ][shape]()  # fmt: skip


def dumps():
    """Hexadecimal dumps, of noise, of zeros, of both; arrays of bytes; addresses."""
    rng = seeded("dumps")
    for number in range(900):
        shape, empty = number % 6, rng.random()
        rows = [bytes(16) if rng.random() < empty else rng.randbytes(16) for _ in range(rng.randrange(20, 300))]
        lines = []
        for place, row in enumerate(rows):
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            lines.append(
                [
                    f"{place * 16:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{shown}|",
                    f"{place * 16:07x}: {row.hex(' ', 2)}  {shown}",
                    ", ".join(f"0x{byte:02x}" for byte in row) + ",",
                    "".join(f"\\x{byte:02x}" for byte in row),
                    row.hex(),
                    f"0x{0x7fff0000 + place * 16:016x}: 0x{row[:8].hex()} 0x{row[8:].hex()}",
                ][shape]
            )
        yield f"generated/{shape}/{number}", "\n".join(lines)


def tables():
    """Markdown and box tables: with words, with figures, with empty cells, with ticks alone."""
    rng = seeded("tables")
    for number in range(900):
        shape, columns = number % 6, rng.randrange(3, 9)
        heads = rng.sample(WORDS, columns)
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * columns]
        for row in range(rng.randrange(15, 200)):
            cells = [
                lambda: rng.choice(WORDS),
                lambda: str(rng.randrange(1000)),
                lambda: rng.choice(["", "", "", "x"]),
                lambda: rng.choice(["✓", "✗", "✓", "✓"]),
                lambda: f"{rng.choice(NAMES)} {rng.choice(WORDS)}".ljust(24),
                lambda: rng.choice(["-", "N/A", "TBD"]),
            ][shape]
            lines.append("| " + " | ".join([str(row + 1), *(cells() for _ in range(columns - 1))]) + " |")
            if number % 12 > 9:
                lines.append("+" + "-" * 12 * columns + "+")
        yield f"generated/{shape}/{number}", "\n".join(lines)


def drawings():
    """Charts, mazes, boards, waves, boxes, stars, patterns that are the same in each line."""
    rng = seeded("drawings")
    for number in range(900):
        shape, width, height = number % 10, rng.randrange(12, 90), rng.randrange(8, 60)
        here = range(width)
        sign = rng.choice("#*@.+o")
        yield f"generated/{shape}/{number}", "\n".join(
            [
                lambda row: f"{rng.choice(WORDS):>12} |{sign * rng.randrange(width)}",
                lambda row: "".join(rng.choice(["/", "\\"]) for _ in here),
                lambda row: "".join(" .:-=+*#%@"[int(abs((column - width / 2) * (row - height / 2)) / (width * height) * 39) % 10] for column in here),
                lambda row: ("+---" * (width // 4) + "+\n" + "|   " * (width // 4) + "|"),
                lambda row: " " * (height - row) + sign * (2 * row + 1),
                lambda row: "".join(".#"[(row // 2 + column // 4) % 2] for column in here),
                lambda row: "~" * width,
                lambda row: "║" + "░▒▓█"[row % 4] * width + "║",
                lambda row: "".join(rng.choice(" .") if rng.random() < 0.9 else sign for _ in here),
                lambda row: "|" + " " * width + "|",
            ][shape](row)
            for row in range(height)
        )


def refrains():
    """Songs that count down, that grow with each verse, and whose chorus comes back."""
    rng = seeded("refrains")
    for number in range(500):
        thing, place, other = (rng.choice(WORDS) for _ in range(3))
        count, shape = rng.randrange(10, 100), number % 5
        if shape == 0:
            verses = [f"{left} little {thing}s standing by the {place},\n{left} little {thing}s standing by the {place},\nand if one little {thing} should wander away,\nthere'd be {left - 1} little {thing}s standing by the {place}." for left in range(count, 0, -1)]  # fmt: skip
        elif shape == 1:
            gifts = [f"{rng.choice(NAMES)}'s {rng.choice(WORDS)} and {rng.choice(WORDS)}" for _ in range(12)]
            verses = [f"On day {day + 1} of winter my neighbour brought me\n" + ",\n".join(reversed(gifts[: day + 1])) for day in range(12)]
        elif shape == 2:
            chorus = f"Oh {thing}, my {thing}, come home to the {place},\nwe sing by the {other} and nobody knows,\nla la la la, la la la la,\ncome home, my {thing}, come home."
            verses = [part for _ in range(rng.randrange(3, 6)) for part in ("\n".join(" ".join(rng.choice(WORDS) for _ in range(7)) for _ in range(4)), chorus)]  # fmt: skip
        elif shape == 3:
            verses = ["\n".join(["na na na, " * rng.randrange(3, 6) + f"hey {thing}" for _ in range(4)]) + "\n" + "\n".join(" ".join(rng.choice(WORDS) for _ in range(6)) for _ in range(3)) for _ in range(8)]  # fmt: skip
        else:
            verses = [f"The {rng.choice(WORDS)} in the {rng.choice(WORDS)} goes round and round,\nround and round, round and round,\nthe {rng.choice(WORDS)} in the {rng.choice(WORDS)} goes round and round,\nall through the {place}." for _ in range(10)]  # fmt: skip
        yield f"generated/{shape}/{number}", "\n\n".join(verses)


def grids():
    """Grids of zeros, of ones and zeros, of one figure, of nothing, in every way to write one; some hundred kilobytes."""
    rng = seeded("grids")
    for number in range(900):
        width, height, shape = rng.randrange(8, 120), rng.randrange(8, 90), number % 12
        cell = rng.choice(["0", "0", "0", "0.0", "1", "0.00", "255", "-1"])
        rare = rng.choice([0, 0, 0.01])
        row = lambda cells=width: [str(rng.randrange(9)) if rng.random() < rare else cell for _ in range(cells)]  # noqa: E731
        word = rng.choice(["null", "None", "false", "true", "NaN", '""', "undefined"])
        yield f"generated/{shape}/{number}", [
            lambda: "\n".join(" ".join(row()) for _ in range(height)),
            lambda: json.dumps([row() for _ in range(height)]).replace('"', ""),
            lambda: "[" + ",\n ".join("[" + ", ".join(row()) + "]" for _ in range(height)) + "]",
            lambda: "grid = np.array([\n" + "\n".join("    [" + ", ".join(row()) + "]," for _ in range(height)) + "\n])",
            lambda: "\n".join("".join(row()) for _ in range(height)),
            lambda: "\n".join(",".join(row()) for _ in range(height)),
            lambda: "{" + ",\n".join("{" + ",".join(row()) + "}" for _ in range(height)) + "};",
            lambda: "[" + ",\n ".join("[" + ", ".join([word] * (width // 3)) + "]" for _ in range(height // 3 + 4)) + "]",
            lambda: "\n".join("." * width for _ in range(height)),
            lambda: "\n".join(f"{place:3}: " + " ".join(row()) for place in range(height)),
            lambda: json.dumps({"width": width, "height": height, "data": [int(float(each)) for each in row(width * height)]}),
            lambda: "\n".join("| " + " | ".join(row(width // 4 + 2)) + " |" for _ in range(height)),
        ][shape]()  # fmt: skip


def enumerations():
    """Numbers, dates, squares, tables of multiplication, identifiers, invented users, steps that differ in little."""
    rng = seeded("enumerations")
    for number in range(900):
        shape, count, first = number % 12, rng.randrange(60, 700), rng.randrange(500)
        word = rng.choice(WORDS)
        yield f"generated/{shape}/{number}", [
            lambda: "\n".join(str(first + place) for place in range(count * 3)),
            lambda: ", ".join(str(first + place) for place in range(count * 4)),
            lambda: "\n".join(f"{place} x {first} = {place * first}" for place in range(count)),
            lambda: "\n".join(f"{place + 1}. {word} {place + 1}" for place in range(count)),
            lambda: "\n".join(f"2026-{place // 28 % 12 + 1:02}-{place % 28 + 1:02}" for place in range(count * 2)),
            lambda: json.dumps([{"id": place, "name": f"User {place}", "email": f"user{place}@example.com", "active": True} for place in range(count // 2)], indent=2),
            lambda: "\n".join(f"INSERT INTO {word} (id, name, value) VALUES ({place}, '{word}_{place}', {place * 7 % 91});" for place in range(count // 2)),
            lambda: "\n".join(f"The square of {place} is {place * place}." for place in range(count)),
            lambda: "\n".join(f"{word}_{place} = \"{word}_{place}\"" for place in range(count)),
            lambda: "\n".join(f"    case {place}: return {word}_{place};" for place in range(count)),
            lambda: " ".join(f"{place:08b}" for place in range(count * 2)),
            lambda: "\n".join(f"<option value=\"{place}\">{word} {place}</option>" for place in range(count)),
        ][shape]()  # fmt: skip


def records():
    """JSON as tools are called with, and as they answer: equal keys, default values, long lists of equal things."""
    rng = seeded("records")
    for number in range(900):
        shape, count = number % 5, rng.randrange(20, 250)
        keys = rng.sample(WORDS, 6)
        blank = {key: rng.choice([None, False, 0, "", []]) for key in keys}
        items = [
            [{**blank, keys[0]: rng.choice(NAMES)} for _ in range(count)],
            [dict(zip(keys, (rng.random() for _ in keys))) for _ in range(count)],
            [{**blank, "id": place} for place in range(count)],
            {f"{rng.choice(WORDS)}_{place}": {"enabled": rng.random() < 0.5, "level": rng.randrange(3)} for place in range(count)},
            [[rng.randrange(4), rng.randrange(4)] for _ in range(count * 4)],
        ][shape]
        yield f"generated/{shape}/{number}", json.dumps(items, indent=rng.choice([None, 2, 4]))


def notations():
    """Moves of a game, of discs between pegs, of stitches; genes, chords, Morse, truth tables, terse programs."""
    rng = seeded("notations")
    bases = "ACGT"
    for number in range(900):
        shape, count = number % 12, rng.randrange(60, 500)
        board = lambda: rng.choice(["e4", "Nf3", "Bb5+", "O-O", "Qxd5", "Rfe1", "cxd4", "g6", "Kh1", "a3", "Nbd7", "exd5"])  # noqa: E731
        yield f"generated/{shape}/{number}", [
            lambda: " ".join(f"{move + 1}. {board()} {board()}" for move in range(count)),
            lambda: "\n".join(f"Move disk {disk} from {start} to {end}" for disk, start, end in hanoi(rng.randrange(6, 9), "A", "C", "B")),
            lambda: "\n".join(f"Row {row + 1}: " + ", ".join(rng.choice(["k2", "p2", "yo", "k2tog", "ssk", "k1", "p1"]) for _ in range(12)) for row in range(count // 4)),
            lambda: "\n".join("".join(rng.choice(bases) for _ in range(60)) for _ in range(count // 2)),
            lambda: "CAG" * rng.randrange(20, 90) + "".join(rng.choice(bases) for _ in range(count * 4)),
            lambda: "\n".join("|".join(rng.choice(["Am", "F", "C", "G", "Dm7"]).center(6) for _ in range(4)) for _ in range(count // 3)),
            lambda: "\n".join(string + "|" + "".join(rng.choice(["---", "-0-", "-2-", "-3-", "---"]) for _ in range(16)) + "|" for _ in range(count // 6) for string in "eBGDAE"),
            lambda: " ".join(rng.choice([".-", "-...", "-.-.", ".", "..-.", "--.", "....", "..", "/"]) for _ in range(count * 3)),
            lambda: "\n".join("| " + " | ".join("TF"[place >> bit & 1] for bit in range(6)) + f" | {rng.choice('TF')} |" for place in range(64)) + "\n" + "x" * 10,
            lambda: "".join(rng.choice("++++----><><[].,") for _ in range(count * 4)),
            lambda: "\n".join(f"{rng.choice(['push', 'pop', 'add', 'mov', 'call'])} {rng.choice(['rax', 'rbx', 'rcx', 'r8'])}, {rng.randrange(64)}" for _ in range(count)),
            lambda: " ".join(rng.choice(["Heads", "Tails"]) + "," for _ in range(count)),
        ][shape]()  # fmt: skip


def hanoi(discs, start, end, spare):
    if discs:
        yield from hanoi(discs - 1, start, spare, end)
        yield discs, start, end
        yield from hanoi(discs - 1, spare, end, start)


def markup():
    """Pages and pictures in markup: rows with empty cells, paths, style sheets, nested boxes."""
    rng = seeded("markup")
    for number in range(600):
        shape, count = number % 6, rng.randrange(10, 150)
        yield f"generated/{shape}/{number}", "\n".join(
            [
                lambda: "  <tr>" + "<td></td>" * (number % 7 + 2) + "</tr>",
                lambda: f'  <circle cx="{rng.randrange(500)}" cy="{rng.randrange(500)}" r="4" fill="#{rng.randrange(1 << 24):06x}"/>',
                lambda: f"  <li><a href=\"/{rng.choice(WORDS)}\">{rng.choice(WORDS).title()}</a></li>",
                lambda: f".{rng.choice(WORDS)} {{ margin: 0; padding: {rng.randrange(9)}px; color: #{rng.randrange(4096):03x}; }}",
                lambda: '<div class="row"><div class="cell"><span></span></div></div>',
                lambda: f"M{rng.randrange(99)} {rng.randrange(99)}L{rng.randrange(99)} {rng.randrange(99)}Z",
            ][shape]()
            for _ in range(count)
        )


def essays():
    """What assistants write most: paragraphs, headings, lists, a fence of code, a table, from words in made-up sentences
    whose beginnings come back."""
    rng = seeded("essays")
    starts = ("Moreover, the", "In addition, a", "It is important to note that the", "The", "As a result, every", "However, no", "For example, this")
    for number in range(700):
        parts = []
        for section in range(rng.randrange(3, 9)):
            sentence = lambda: f"{rng.choice(starts)} {rng.choice(WORDS)} of the {rng.choice(WORDS)} is a {rng.choice(WORDS)} for {rng.choice(WORDS)} and {rng.choice(WORDS)}."  # noqa: E731
            parts.append(f"## {section + 1}. The {rng.choice(WORDS)} and the {rng.choice(WORDS)}\n\n" + " ".join(sentence() for _ in range(rng.randrange(3, 9))))
            if rng.random() < 0.5:
                parts.append("\n".join(f"- **{rng.choice(WORDS).title()}**: {sentence()}" for _ in range(rng.randrange(3, 7))))
            if rng.random() < 0.3:
                parts.append("```python\n" + "\n".join(f"{rng.choice(WORDS)} = {rng.choice(WORDS)}({rng.randrange(9)})" for _ in range(rng.randrange(2, 12))) + "\n```")
        yield f"generated/{number}", "\n\n".join(parts)
