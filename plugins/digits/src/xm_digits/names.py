"""What the ten digits are called: in English, and in other languages, spread over the splits.

Words of other alphabets are transliterated. A language is a group: all its words are in one split. Every
split has Germanic, Romance, Slavic and Celtic languages, so that train has kin of what test asks for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

PHRASES = {
    "train": (
        "number {}",
        "the digit {}",
        "a {}",
        "it says {}",
        "only {}",
        "I see {}",
        "{} please",
        "this is {}",
    ),
    "val": ("digit {}", "{} of them", "plus {}", "my {}"),
    "test": ("the number {}", "{} again"),
}
"""English around the name; those of different splits differ."""

_TRAIN = """
Afrikaans: nul een twee drie vier vyf ses sewe agt nege
Asturian: ceru un dos trés cuatro cinco seis siete ocho nueve
Belarusian: nul adzin dva try chatyry piats shests siem vosiem dzieviats
Catalan: zero u dos tres quatre cinc sis set vuit nou
Danish: nul en to tre fire fem seks syv otte ni
French: zéro un deux trois quatre cinq six sept huit neuf
Frisian: nul ien twa trije fjouwer fiif seis sân acht njoggen
German: null eins zwei drei vier fünf sechs sieben acht neun
Greek: midén éna dýo tría téssera pénte éxi eptá októ ennéa
Icelandic: núll einn tveir þrír fjórir fimm sex sjö átta níu
Irish: náid aon dó trí ceathair cúig sé seacht ocht naoi
Latin: nihil unus duo tres quattuor quinque sex septem octo novem
Latvian: nulle viens divi trīs četri pieci seši septiņi astoņi deviņi
Macedonian: nula eden dva tri chetiri pet shest sedum osum devet
Polish: zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć
Portuguese: zero um dois três quatro cinco seis sete oito nove
Romanian: zero unu doi trei patru cinci șase șapte opt nouă
Russian: nol odin dva tri chetyre pyat shest sem vosem devyat
Sardinian: zeru unu duos tres bator chimbe ses sete oto nobe
Scots: nocht ane twa three fower five sax seeven aicht nine
Slovene: nič ena dve tri štiri pet šest sedem osem devet
Upper Sorbian: nula jedyn dwaj tři štyri pjeć šěsć sydom wosom dźewjeć
Welsh: dim un dau tri pedwar pump chwech saith wyth naw
Esperanto: nul unu du tri kvar kvin ses sep ok naŭ
Venetian: zero un do tre cuatro sincue sie sete oto nove
"""

_VAL = """
Breton: mann unan daou tri pevar pemp c'hwec'h seizh eizh nav
Czech: nula jedna dva tři čtyři pět šest sedm osm devět
Faroese: null eitt tvey trý fýra fimm seks sjey átta níggju
Galician: cero un dous tres catro cinco seis sete oito nove
Low German: null een twee dree veer fief söss söven acht negen
Occitan: zèro un dos tres quatre cinc sièis sèt uèch nòu
Ido: zero un du tri quar kin sis sep ok non
"""

_TEST = """
Aragonese: cero un dos tres quatro zinco seis siet ueito nueu
Bulgarian: nula edno dve tri chetiri pet shest sedem osem devet
Cornish: mann onan dew tri peswar pymp hwegh seyth eth naw
Corsican: zeru unu dui trè quattru cinque sei sette ottu nove
Croatian: nula jedan dva tri četiri pet šest sedam osam devet
Dutch: nul een twee drie vier vijf zes zeven acht negen
Interlingua: zero un duo tres quatro cinque sex septe octo nove
Italian: zero uno due tre quattro cinque sei sette otto nove
Lithuanian: nulis vienas du trys keturi penki šeši septyni aštuoni devyni
Luxembourgish: null eent zwee dräi véier fënnef sechs siwen aacht néng
Manx: neunhee nane jees tree kiare queig shey shiaght hoght nuy
Norwegian: null én to tre fire fem seks sju åtte ni
Romansh: nulla in dus trais quatter tschintg sis set otg nov
Scottish Gaelic: neoni aon dhà trì ceithir còig sia seachd ochd naoi
Sicilian: zeru unu dui tri quattru cincu sei setti ottu novi
Slovak: nula jeden dva tri štyri päť šesť sedem osem deväť
Spanish: cero uno dos tres cuatro cinco seis siete ocho nueve
Swedish: noll ett två tre fyra fem sex sju åtta nio
Ukrainian: nul odyn dva try chotyry piat shist sim visim deviat
"""

_LANGUAGES = {"test": _TEST, "val": _VAL, "train": _TRAIN}  # a word of several languages stays with the first


def plain(text: str) -> str:
    """`text` in lower case without accents: words that differ in these alone count as one."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace("þ", "th").replace("ð", "d"))
    return "".join(c for c in letters if not unicodedata.combining(c))


def other_names() -> Iterator[tuple[str, int, str, str]]:
    """(text, digit, split, group) of every phrase and foreign word; none is in two splits."""
    seen = set(CLASSES)
    for split, table in _LANGUAGES.items():
        for phrase in PHRASES[split]:
            for digit, name in enumerate(CLASSES):
                yield phrase.format(name), digit, split, f"English, {phrase}"
        for line in table.strip().splitlines():
            language, _, words = line.partition(": ")
            for digit, word in enumerate(words.split()):
                if plain(word) not in seen:
                    seen.add(plain(word))
                    yield word, digit, split, language
