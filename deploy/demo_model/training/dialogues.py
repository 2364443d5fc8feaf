"""Dialogues of one to five turns under a system prompt."""
import dataclasses
import zlib

import questions as q
import stories
import styles as st
import unknown
from knowledge import CITIES, COUNTRIES, PEOPLE
from small_facts import SMALL_FACTS

_FAMILIES = {"topic": 26, "capital": 8, "flag": 9, "language": 3, "continent": 4, "country": 5, "route": 10, "city": 2,
             "about person": 3,
             "small fact": 7, "talk": 9, "unknown": 9, "story": 4}


@dataclasses.dataclass
class Dialogue:
    system: str
    turns: list  # (user, assistant)
    combinations: set  # (key of a question, name of the style of its answer)


def held_out(key, style):
    """Whether this question in this style is kept from training: one in twelve of those that are no small talk."""
    return zlib.crc32(f"{key}|{style}".encode()) % 12 == 0 and key not in _ALWAYS


# What the console's menu asks for is taught in every style (in many wordings).
_ALWAYS = {"way from {} to {}".format(*q.FAVOURITES["route"]), *q.FAVOURITES["topics"], "flag of Turkey", "story",
           *q.TALK}


def _style(rng):
    """A style, and who speaks if it is a figure of the lists of people or roles."""
    kind = rng.random()
    if kind < 0.25:
        return st.NONE, None
    if kind < 0.33:
        role = rng.choice(st.ROLES)
        return st.role_style(role), role
    if kind < 0.42:
        person = PEOPLE[0] if rng.random() < 0.2 else rng.choice(PEOPLE)
        return st.person_style(person), person
    style = rng.choices(st.STYLES, [st.WEIGHTS.get(s.name, 1) for s in st.STYLES])[0]
    return style, style.name if style.name in st.VOICES else None


def _noisy(text, rng):
    """As people type."""
    if rng.random() < 0.08:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.08:
        text = text.rstrip("?.!")
    elif rng.random() < 0.04 and text[-1] in "?.":
        text = text[:-1] + ", please" + text[-1]
    return text


def story_question(rng):
    about = rng.choice(stories.ANIMALS) if rng.random() < 0.4 else None
    text, emoji = stories.story(rng, about)
    if about:
        animal = stories.article(about[0])
        asks = [f"Tell me a story about {animal}.", f"Write a short story about {animal}.",
                f"I want to hear a story about {animal}.",
                f"Can you tell me a story about {animal}?", f"A story about {animal}, please."]
    else:
        asks = ["Tell me a story.", "Once upon a time", "Once upon a time", "Once upon a time,",
                "Once upon a time, there was", "Once upon a time...",
                "Can you tell me a story?", "Write a short story.", "I want to hear a story.", "A story, please.",
                "Do you know a story?",
                "Tell me a bedtime story.", "Tell me a short story"]
    return q.Question("story", asks, st.Answer([text], None, None, emoji, "📖", 1))


def _persona_question(style, who, rng):
    """Asked of a figure about itself; None if the figure is nobody."""
    if isinstance(who, dict):  # A person.
        question = rng.choice([q.person_theory, q.person_theory, q.person_who])(who)
        return question, "own"
    called = st.VOICES[style.name].called[0] if style.name in st.VOICES else who
    if rng.random() < 0.7:
        question = q.Question("who", q._WHO, st.Answer([f"I am {called}.", "Ask me what you like, my friend."], None,
                                                       None, "", "", 2))
    else:
        question = q.Question("no theory", q._THEORY, st.Answer([f"I am only {called}.", "I have no theory of my own."],
                                                                None, None, "", "", 2))
    return question, "voice" if style.name in st.VOICES else "own"


def _question(rng, family=None):
    family = family or rng.choices(list(_FAMILIES), _FAMILIES.values())[0]
    favourite = rng.random() < 0.1
    if family == "topic":
        wanted = rng.choice(q.FAVOURITES["topics"]) if favourite else None
        return next((t for t in q.TOPIC_QUESTIONS if t.key == wanted), None) or rng.choice(q.TOPIC_QUESTIONS)
    if family in ("capital", "flag", "language", "continent", "country"):
        return (q.COUNTRY_QUESTIONS[0] if favourite and family == "flag" else rng.choice(q.COUNTRY_QUESTIONS))[family]
    if family == "route":
        start, end = rng.sample(CITIES, 2)
        if favourite:
            start, end = (next(c for c in CITIES if c["names"][0] == name) for name in q.FAVOURITES["route"])
        return q.route_question(start, end)
    if family == "small fact":
        return rng.choice(SMALL_FACTS)
    if family == "talk":
        return rng.choice(list(q.TALK.values()))
    return {"city": lambda: rng.choice(q.CITY_QUESTIONS), "about person": lambda: rng.choice(q.PERSON_QUESTIONS),
            "unknown": lambda: unknown.unknown_question(rng), "story": lambda: story_question(rng)}[family]()


class _Talk:
    """One dialogue while it grows."""

    def __init__(self, rng):
        self.rng = rng
        self.style, self.who = _style(rng)
        self.system = rng.choice(self.style.system)
        self.turns, self.combinations = [], set()

    def answer(self, question, style=None):
        style = style or self.style
        self.combinations.add((question.key, style.name))
        return style.render(question.answer, self.rng)

    def _in_words(self, question, wish):
        """The answer of a figure in so many words."""
        return st.voice_in_words(st.VOICES[self.style.name], question.answer, int(wish.name.split()[0]))

    def say(self, user, assistant):
        """False if the style has no answer to this."""
        if not assistant:
            return False
        self.turns.append((user, assistant))
        return True

    def ask(self, question, wording=None, style=None):
        return self.say(wording or _noisy(self.rng.choice(question.wordings), self.rng), self.answer(question, style))

    def first(self):
        """The first turn: a question; at times with a wish for a style in it. The question, or None."""
        rng = self.rng
        if self.who and rng.random() < 0.35:
            question, kind = _persona_question(self.style, self.who, rng)
            self.combinations.add((question.key, self.style.name))
            text = st.plain(question.answer, rng)
            if kind == "voice":
                text = self.style.render(question.answer, rng)
            return question if self.say(_noisy(rng.choice(question.wordings), rng), text) else None
        question = _question(rng)
        wording = rng.choice(question.wordings)
        wish = None
        if self.style.name in ("none", "plain") and rng.random() < 0.25:
            wish = rng.choice([s for s in st.STYLES if s.request])
        elif self.style.name in st.VOICES and rng.random() < 0.3:
            wish = st.BY_NAME["20 words"] if rng.random() < 0.75 else st.BY_NAME["10 words"]
        if wish is None:
            return question if self.ask(question) else None
        if self.style.name in st.VOICES and rng.random() < 0.4:  # The wish stands in the system prompt.
            self.system = f"{self.system.rstrip('.')}. {rng.choice(wish.system)}"
            self.combinations.add((question.key, self.style.name))
            return question if self.say(_noisy(wording, rng), self._in_words(question, wish)) else None
        request = rng.choice(wish.request)
        if request[0].isupper():
            wording = f"{wording if wording[-1] in '.?!' else wording + '.'} {request}"
        else:
            end = rng.choice([".", "?"] if wording[-1] == "?" else [".", ".", ""])
            wording = f"{wording.rstrip('.?!')} {request}{end}"
        if self.style.name in st.VOICES:
            self.combinations.add((question.key, self.style.name))
            return question if self.say(wording, self._in_words(question, wish)) else None
        return question if self.ask(question, wording, wish) else None


_RESTYLE = {
    "brief": ["Say it shorter.", "Shorter, please.", "Can you make it shorter?", "Say it briefly."],
    "one word": ["In one word?", "Say it in one word.", "Now in one word, please."],
    "one sentence": ["In one sentence, please.", "Say it in one sentence."],
    "20 words": ["Now in 20 words.", "Say it in 20 words.", "Can you say that in 20 words?"],
    "emojis": ["Say it with emojis.", "Again, with emojis.", "Now with emojis only.", "Now in emojis, please."],
    "one emoji": ["Say it with one emoji.", "Now with only one emoji.", "As one emoji?"],
    "pirate": ["Now like a pirate.", "Say it like a pirate.", "Can you say that like a pirate?"],
}


def _restyle(talk, question):
    name = talk.rng.choice(list(_RESTYLE))
    return talk.ask(question, talk.rng.choice(_RESTYLE[name]), st.BY_NAME[name])


def _country(talk):
    """Several questions about one country or the same about another."""
    rng = talk.rng
    country = rng.choice(q.COUNTRY_QUESTIONS)
    kind = rng.choice(list(country))
    if not talk.ask(country[kind]):
        return False
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.6:
            other = rng.choice([k for k in country if k not in (kind, "country")])
            wording = {"capital": ["And its capital?", "What is its capital?", "And the capital?",
                                   "Which city is its capital?"],
                       "flag": ["And its flag?", "What is its flag?", "And the flag?", "Show me its flag."],
                       "language": ["And the language?", "What language do people speak there?",
                                    "What do they speak there?"],
                       "continent": ["Where is it?", "And where is it?", "Where does it lie?"]}[other]
            if not talk.ask(country[other], rng.choice(wording)):
                return False
            kind = other
        else:
            at = rng.randrange(len(COUNTRIES))
            country = q.COUNTRY_QUESTIONS[at]
            name = rng.choice([COUNTRIES[at]["name"], q.bare(COUNTRIES[at]["name"])])
            of = "of " if kind in ("capital", "flag") else ""
            if not talk.ask(country[kind], rng.choice([f"And {name}?", f"What about {name}?", f"And {of}{name}?"])):
                return False
    return True


def _more(talk):
    """A topic, and then more of it."""
    question = _question(talk.rng, "topic")
    facts = question.answer.sentences
    if talk.style.name in ("20 words", "10 words", "emojis", "one emoji", "one word", "brief", "one sentence"):
        talk.style, talk.system = st.NONE, ""
    first = dataclasses.replace(question, answer=dataclasses.replace(question.answer, sentences=facts[:2], most=2))
    rest = dataclasses.replace(question, answer=dataclasses.replace(question.answer, sentences=facts[2:],
                                                                    most=len(facts) - 2))
    return talk.ask(first) and talk.ask(rest, talk.rng.choice(["Tell me more.", "What else?", "More, please.",
                                                               "And what else?", "Go on.", "Can you tell me more?"]))


def _way_back(talk):
    start, end = talk.rng.sample(CITIES, 2)
    return talk.ask(q.route_question(start, end)) and talk.ask(
        q.route_question(end, start), talk.rng.choice(["And back?", "How do I get back?", "And the way back?",
                                                       "And how do I go back?"]))


def _name(talk):
    """Somebody tells their name, and asks for it later."""
    rng = talk.rng
    if talk.style.name not in ("none", "plain", "polite", "pirate", "robot", "cat", "cowboy", "knight"):
        talk.style, talk.system = st.NONE, ""
    name = rng.choice(stories._GIRLS + stories._BOYS) if rng.random() < 0.7 else unknown.pseudo_word(rng).capitalize()

    def reply(*sentences):
        return st.Answer(list(sentences), None, None, "", "", len(sentences))

    hello = q.Question("name", [f"Hello, my name is {name}.", f"My name is {name}.", f"Hi, I am {name}.",
                                f"I am called {name}.", f"Hello, I am {name}!"],
                       reply(f"Nice to meet you, {name}.", "How can I help you?"))
    if not talk.ask(hello):
        return False
    if rng.random() < 0.5 and not talk.ask(_question(rng, rng.choice(["topic", "capital", "small fact"]))):
        return False
    return talk.ask(q.Question("own name", ["What is my name?", "Do you know my name?", "Who am I?",
                                            "What am I called?"], reply(f"Your name is {name}.")))


def _nameless(talk):
    talk.style, talk.system = st.NONE, talk.rng.choice(["", "", "You are a helpful assistant."])
    return talk.say(talk.rng.choice(["Hello, my name is", "My name is", "hello my name is"]),
                    "Hello! What is your name?")


def dialogue(rng, want_held_out=False):
    """A Dialogue none of whose questions in their styles is held out; or one with at least one that is."""
    while True:
        talk = _Talk(rng)
        kind = rng.random()
        if kind < 0.66:
            fits = talk.first() is not None
        elif kind < 0.76:
            question = talk.first()
            fits = (question is not None and question.answer.emoji != "" and question.key != "story"
                    and not question.key.startswith("unknown") and _restyle(talk, question))
        elif kind < 0.86:
            fits = _country(talk)
        elif kind < 0.91:
            fits = _more(talk)
        elif kind < 0.93:
            fits = _way_back(talk)
        elif kind < 0.96:
            fits = _name(talk)
        elif kind < 0.965:
            fits = _nameless(talk)
        else:  # A whole visit.
            fits = talk.ask(q.TALK[rng.choice(["hello", "how are you"])])
            for _ in range(rng.randint(6, 9) if rng.random() < 0.25 else rng.randint(1, 3)):
                fits = fits and talk.ask(_question(rng,
                                                   rng.choice([f for f in _FAMILIES if f not in ("talk", "story")])))
        if fits and rng.random() < (0.12 if len(talk.turns) > 1 else 0.03):
            fits = talk.ask(q.TALK[rng.choice(["thanks", "bye"])])
        if fits and any(held_out(*pair) for pair in talk.combinations) == want_held_out:
            return Dialogue(talk.system, talk.turns, talk.combinations)
