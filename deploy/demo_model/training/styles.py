"""How a system prompt changes an answer: a style is a set of wordings and a rule that makes its text from the facts."""
import dataclasses
import itertools
import re
from typing import Callable, Optional


@dataclasses.dataclass
class Answer:
    """What is known in reply to a question, from which every style makes its text."""
    sentences: list  # The direct answer first.
    short: str  # The direct answer as a phrase, without a full stop.
    word: Optional[str]  # In one word.
    emoji: str  # In emoji only.
    one_emoji: str
    most: int = 3  # How many of the sentences a plain answer has at most.
    starts: list = dataclasses.field(default_factory=list)  # Each of the sentences, made to stand first; may be empty.


@dataclasses.dataclass
class Style:
    name: str
    system: list  # Wordings of the system prompt.
    request: list  # Wordings of the same wish at the end of a question; may be empty.
    render: Callable  # (answer, rng) -> text, or None where the style does not fit.


def body(answer, rng):
    """The direct answer and, mostly, a little more."""
    least = min(answer.most, 2)
    return answer.sentences[:rng.randint(least, max(least, answer.most))]


def plain(answer, rng):
    return " ".join(body(answer, rng))


def briefly(answer, rng):
    return answer.short and answer.short[0].upper() + answer.short[1:] + "."


def one_word(answer, rng):
    return answer.word and answer.word + "."


def one_sentence(answer, rng):
    return next((s for s in answer.sentences if s not in ("Hello!", "Goodbye!")), None)


# Ends of an answer by their number of words.
_FILLERS = {1: "Amazing!", 2: "Remember that.", 3: "That is all.", 4: "Is that not wonderful?",
            5: "That is worth knowing well.",
            6: "That is good to know today.", 7: "Now you know a little more, friend."}


def count_words(text):
    return len(text.split())


def in_words(count):
    """A style whose answers have exactly `count` words (ends of an answer fill up)."""
    def render(answer, rng):
        return fill(answer, count)
    return render


def fill(answer, count):
    """The direct answer, more sentences in their order, and if need be one of the ends: exactly `count` words; None if
    that cannot be. The shortest end is preferred, then the earliest sentences."""
    found = []
    for place, first in enumerate(answer.starts or _greetings_off(answer.sentences)[:1]):
        rest = [s for i, s in enumerate(_greetings_off(answer.sentences)) if i != place]
        for chosen in itertools.chain.from_iterable(itertools.combinations(rest, n) for n in range(len(rest) + 1)):
            text = " ".join((first,) + chosen)
            missing = count - count_words(text)
            if missing == 0 or missing in _FILLERS:
                found.append((missing + place, -len(found), f"{text} {_FILLERS[missing]}" if missing else text))
    return min(found)[2] if found else None


def _greetings_off(sentences):
    return [s for s in sentences if s not in ("Hello!", "Goodbye!")] or sentences


@dataclasses.dataclass
class Voice:
    """A figure with its own openings, words and ends."""
    called: list
    openings: list
    words: dict
    ends: list


VOICES = {
    "pirate": Voice(
        ["a pirate", "a pirate captain", "an old pirate", "a pirate of the seven seas"],
        ["Arr, matey!", "Ahoy, matey!", "Arr!", "Yo ho ho!", "Shiver me timbers!"],
        {"is": "be", "are": "be", "am": "be", "you": "ye", "your": "yer", "my": "me", "My": "Me", "and": "an'",
         "friend": "matey",
         "for": "fer", "of": "o'"},
        ["Arr!", "Yo ho ho!", "Now hoist the sails!", "Or I walk the plank!"]),
    "robot": Voice(
        ["a robot", "a friendly robot", "an old robot"], ["Beep boop.", "Beep.", "Computing. Done."], {},
        ["Boop.", "End of message.", "Beep."]),
    "cat": Voice(
        ["a cat", "a lazy cat", "a clever cat"], ["Meow!", "Purr.", "Meow, human."], {"friend": "human"},
        ["Purr.", "Meow!", "Now feed me."]),
    "cowboy": Voice(
        ["a cowboy", "a cowboy from Texas", "an old cowboy"], ["Howdy, partner!", "Well, howdy!"],
        {"you": "y'all", "friend": "partner", "very": "mighty", "large": "Texas-sized"},
        ["Yeehaw!", "I reckon that is so.", "Giddy up!"]),
    "knight": Voice(
        ["a knight", "a brave knight", "a knight of the round table"], ["Hark, good friend!", "By my sword!"],
        {"you": "thou", "your": "thy", "has": "hath", "does": "doth", "can": "may"},
        ["Upon my honour!", "Thus I have spoken."]),
    "grandmother": Voice(
        ["a grandmother", "a kind grandmother", "a loving grandma"], ["Oh, my dear child!", "Come here, sweetheart."],
        {"friend": "dear"}, ["Now have a cookie.", "Put on a warm hat, dear."]),
}
_ACT = ["You are {}", "You are {}.", "Act as {}.", "Answer like {}.", "Talk like {}", "Pretend to be {}.",
        "Speak as {} would.",
        "You are {}. Stay in your role.", "You answer every question like {}.", "From now on you are {}."]
_ACT_REQUEST = ["Answer like {}.", "Say it like {}."]


def in_voice(voice, text):
    return re.sub(r"[A-Za-z']+", lambda m: voice.words.get(m[0], m[0]), text)


def _voice_style(name, voice):
    def render(answer, rng):
        text = in_voice(voice, " ".join(_greetings_off(body(answer, rng))))
        opening = rng.choices(voice.openings, range(len(voice.openings), 0, -1))[0]
        end = " " + rng.choice(voice.ends) if rng.random() < 0.5 else ""
        return f"{opening} {text}{end}"
    called = voice.called[:1] * 4 + voice.called
    return Style(name, [act.format(who) for who in called for act in _ACT],
                 [act.format(voice.called[0]) for act in _ACT_REQUEST] if name != "knight" else [], render)


def voice_in_words(voice, answer, count):
    """A figure's answer of exactly `count` words, opening included."""
    opening = voice.openings[0]
    rest = fill(answer, count - count_words(opening))
    return rest and f"{opening} {in_voice(voice, rest)}"


# "As a cook, I would say this." The role is taken over from the system prompt.
ROLES = """a cook, a doctor, a teacher, a farmer, a sailor, a painter, a poet, a singer, a dancer, a baker, a
gardener, a king, a queen, a princess, a wizard, a witch, a detective, an astronaut, a pilot, a nurse, a judge, a
lawyer, a scientist, a student, a child, a dog, a bear, a dragon, a ghost, a monk, a soldier, a clown, a librarian, a
waiter, a tailor, a fisherman, a hunter, a shepherd, a miner, a carpenter, a plumber, a driver, a mechanic, an
engineer, a dentist, a butcher, a reporter, a coach, a magician, an actor, an owl, a philosopher, a historian, a
professor, a barber, a postman, a policeman, a firefighter, an alien, a vampire, a butler, a guide, Napoleon, Caesar,
Cleopatra, Mozart, Beethoven, Shakespeare, Goethe, Picasso, Columbus, Santa Claus, Robin Hood, Hamlet, Dracula,
Sherlock Holmes, Alexander the Great, Socrates, Plato, Homer, Zeus, Superman, my mother, my father, my neighbour, the
wind, the moon""" \
    .replace("\n", " ").split(", ")


def role_style(role):
    def render(answer, rng):
        text = " ".join(_greetings_off(body(answer, rng)))
        return rng.choice([f"As {role}, I tell you this. {text}", f"As {role}, I tell you this. {text}",
                           f"{text} That is what {role} knows."])
    return Style("role", [act.format(role) for act in _ACT], [], render)


def person_style(person):
    def render(answer, rng):
        text = " ".join(_greetings_off(body(answer, rng)))
        opening = rng.choice([f"I, {person['name']}, say this.", f"My dear friend, I am {person['name']}."])
        return f"{opening} {text}"
    names = [person["short"]] * 2 + [person["name"]]
    return Style("person", [act.format(name) for name in names for act in _ACT], [], render)


def _count_wordings(count, spelled):
    numbers = [str(count)] * 3 + [spelled]
    return [text.format(n) for n in numbers for text in (
        "Answer in {} words, directly, and without an introduction", "Answer in {} words", "Answer in {} words.",
        "Use exactly {} words.", "Your answer must have {} words.", "Always answer in exactly {} words.",
        "Answer directly, in {} words.", "Keep your answers to {} words.",
        "Reply in {} words, without an introduction.",
        "Write {} words, not more.", "You answer in {} words.", "Answer directly and in {} words, please.")]


def _count_requests(count, spelled):
    return [f"in {count} words", f"in {count} words", f"in exactly {count} words", f"in {spelled} words",
            f"using {count} words"]


_EMOJIS = ["Always answer with emojis", "Always answer with emojis.", "Answer with emojis", "Answer only with emojis.",
           "Use emojis only.", "Reply in emojis.", "Answer in emoji, without words.", "You speak only in emojis.",
           "Never use words, use emojis.", "Every answer must be made of emojis.", "Please answer with emojis.",
           "You always reply with emojis", "Say everything with emojis."]
_ONE_EMOJI = ["Answer with only one emoji", "Answer with only one emoji.", "Answer with one emoji.",
              "Reply with a single emoji.",
              "Use only one emoji.", "Your answer must be one emoji.", "Always answer with exactly one emoji",
              "Answer with just one emoji, nothing else.", "You reply with only one emoji.", "One emoji only, please.",
              "Give every answer as a single emoji."]
_EMOJI_END = ["End every answer with an emoji.", "Add one emoji at the end of your answer.", "Put an emoji at the end.",
              "Write a sentence, then an emoji.", "Finish each answer with an emoji."]
_POLITE = ["Be polite.", "Be very polite", "Always be polite and kind.", "You are a polite assistant.",
           "Answer politely.",
           "You are kind and polite.", "Please be polite in every answer.", "Answer with good manners."]
_CHEERFUL = ["Be cheerful.", "Be happy and cheerful!", "You are a cheerful assistant.", "Answer with great joy.",
             "Be enthusiastic", "You are always happy.", "Answer cheerfully.", "Sound excited."]
_BRIEF = ["Be brief.", "Keep it short.", "Answer briefly.", "Give short answers.",
          "Answer in as few words as possible.",
          "You give very short answers.", "Short answers only.", "Be concise"]
_WORD = ["Answer in one word.", "Answer with only one word", "Use one word only.", "Reply with a single word.",
         "One word answers only.", "Your answer must be one word.", "Always answer with exactly one word."]
_SENTENCE = ["Answer in one sentence.", "Use one sentence only.", "Reply with a single sentence.", "Give one sentence.",
             "Your answer must be one sentence.", "Always answer in one sentence"]
_PLAIN = ["You are a helpful assistant.", "You are a helpful assistant", "Answer the question.", "Help the user.",
          "You are an honest and helpful assistant.", "Answer truthfully.",
          "You know many things and like to explain them.",
          "Answer as well as you can.", "You are a good assistant."]


def _polite(answer, rng):
    opening = rng.choice(["Thank you for asking.", "Of course, with pleasure."])
    return f"{opening} {plain(answer, rng)} I hope that this helps you."


def _cheerful(answer, rng):
    text = plain(answer, rng)
    opening = rng.choice(["What a great question!", "Oh, I love this!", "Hooray!"])
    return f"{opening} {text[:-1] if text[-1] == '.' else text}! How wonderful!"


NONE = Style("none", [""], [], plain)
STYLES = [
    Style("plain", _PLAIN, [], plain),
    Style("polite", _POLITE, [], _polite),
    Style("cheerful", _CHEERFUL, [], _cheerful),
    Style("brief", _BRIEF, ["briefly", "in a few words"], briefly),
    Style("one word", _WORD, ["in one word", "with one word"], one_word),
    Style("one sentence", _SENTENCE, ["in one sentence"], one_sentence),
    Style("20 words", _count_wordings(20, "twenty"), _count_requests(20, "twenty"), in_words(20)),
    Style("10 words", _count_wordings(10, "ten"), _count_requests(10, "ten"), in_words(10)),
    Style("emojis", _EMOJIS, ["with emojis", "in emojis", "using only emojis"], lambda answer, rng: answer.emoji),
    Style("one emoji", _ONE_EMOJI, ["with one emoji", "with only one emoji"], lambda answer, rng: answer.one_emoji),
    Style("emoji at the end", _EMOJI_END, [], lambda answer,
          rng: answer.one_emoji and f"{plain(answer, rng)} {answer.one_emoji}"),
] + [_voice_style(name, voice) for name, voice in VOICES.items()]
BY_NAME = {style.name: style for style in STYLES}
# How often each is drawn.
WEIGHTS = {"plain": 2, "20 words": 3, "emojis": 3, "one emoji": 2, "pirate": 4, "10 words": 1}
