//! Small words by which languages that share a script are told apart: those that hardly a sentence does without, and that
//! few of the others have.

/// Each language with its words, in lower case.
pub(super) const WORDS: [(&str, &[&str]); 12] = [
    (
        "de",
        &[
            "aber", "auf", "auch", "bitte", "das", "dem", "den", "der", "dies", "ein", "eine", "einen", "für", "ich",
            "im", "ist", "kann", "mir", "mit", "nicht", "oder", "sich", "sie", "sind", "und", "von", "was", "wie",
            "wir", "zu",
        ],
    ),
    (
        "en",
        &[
            "and", "are", "can", "do", "does", "for", "from", "how", "i", "in", "is", "it", "my", "of", "on", "please",
            "that", "the", "this", "to", "was", "what", "which", "why", "with", "you", "your",
        ],
    ),
    (
        "es",
        &[
            "como", "con", "cuál", "cómo", "del", "el", "en", "es", "está", "las", "lo", "los", "mi", "muy", "o",
            "para", "pero", "por", "puedes", "que", "qué", "se", "son", "su", "un", "una", "y",
        ],
    ),
    (
        "fr",
        &[
            "au", "avec", "ce", "cette", "comment", "dans", "des", "du", "elle", "en", "est", "et", "il", "je", "la",
            "le", "les", "mon", "ne", "nous", "ou", "pas", "pour", "quel", "qui", "sont", "sur", "un", "une", "vous",
        ],
    ),
    (
        "it",
        &[
            "anche", "che", "chi", "come", "con", "cosa", "del", "della", "di", "gli", "ho", "il", "in", "la", "le",
            "mi", "nel", "non", "per", "perché", "più", "puoi", "quale", "questo", "sono", "un", "una", "è",
        ],
    ),
    (
        "nl",
        &[
            "aan", "als", "dat", "de", "die", "dit", "een", "en", "er", "het", "hoe", "ik", "in", "is", "kan", "maar",
            "met", "mijn", "niet", "of", "op", "te", "van", "voor", "waarom", "wat", "wij", "zijn",
        ],
    ),
    (
        "pl",
        &[
            "ale", "co", "czy", "dla", "do", "i", "jak", "jest", "mnie", "na", "nie", "od", "po", "proszę", "się",
            "są", "to", "w", "z", "że",
        ],
    ),
    (
        "pt",
        &[
            "as", "com", "como", "da", "do", "dos", "e", "em", "está", "eu", "meu", "mais", "mas", "não", "o", "os",
            "ou", "para", "por", "que", "são", "se", "uma", "um", "você", "é",
        ],
    ),
    (
        "ru",
        &[
            "был",
            "быть",
            "в",
            "вы",
            "где",
            "для",
            "если",
            "и",
            "из",
            "или",
            "как",
            "какой",
            "к",
            "мне",
            "на",
            "не",
            "но",
            "о",
            "от",
            "по",
            "почему",
            "с",
            "то",
            "что",
            "это",
            "я",
        ],
    ),
    (
        "sv",
        &[
            "att", "av", "den", "det", "du", "ett", "för", "hur", "inte", "jag", "kan", "med", "mig", "och", "om",
            "på", "som", "till", "vad", "varför", "är",
        ],
    ),
    (
        "tr",
        &[
            "ama", "ben", "bir", "bu", "da", "de", "değil", "gibi", "için", "ile", "mi", "ne", "nasıl", "neden",
            "olan", "ve", "veya", "çok", "şu",
        ],
    ),
    (
        "uk",
        &[
            "але", "або", "будь", "в", "від", "для", "до", "з", "за", "й", "мені", "на", "не", "про", "та", "це", "чи",
            "чому", "що", "як", "який", "є", "і", "я",
        ],
    ),
];
