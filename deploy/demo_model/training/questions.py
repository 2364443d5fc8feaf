"""Questions in many wordings, and what is known in reply to them."""
import dataclasses
import re

from knowledge import CITIES, COUNTRIES, PEOPLE, TOPICS, flag
from styles import Answer

ROBOT = "I am the demo model of Llama Nuts and Bolts."


@dataclasses.dataclass
class Question:
    key: str  # The same for all wordings of one question.
    wordings: list
    answer: Answer


# What each topic is in one word, in the order of TOPICS.
_ONE_WORDS = dict(zip([t["name"] for t in TOPICS],
                      """Spacetime Qubits Attraction Sunlight Colours Lava Shaking Tides Light Home Dust
Gas Darkness Shining Ice Current Iron Program Network Machine Voice Wheels Rails Wings Harbour Space River Flour Milk
Cocoa Bees Leaves
Beans Grain Sea Life Frozen Crystals Clouds Air Heat Leaves Scent Trees Dry Salt Flow Height Whiskers Loyal Hooves Milk
Trunk Roar Song
Clever Swimmer Night Honey Strong Wings Web Pond Gills Shell Bones Blood Thoughts Dreams Sound Pages Rhyme King Goal
Numbers Corners
Nothing Trade Time North Words Text Learning""".split()))
assert len(_ONE_WORDS) == len(TOPICS)


def capital(text):
    return text[0].upper() + text[1:]


def bare(name):
    """Without its article."""
    return re.sub(r"^(the|an?) ", "", name)


def topic_question(topic):
    name, facts = topic["name"], topic["facts"]
    sentences = [f"{capital(name)} {facts[0]}."] + [f"It {fact}." for fact in facts[1:]]
    names = [name] * 5 + [bare(name), bare(name), capital(bare(name)), capital(name)]
    asks = ["What is {}?", "What is {}?", "Explain {}.", "Can you explain what is {}?", "Can you explain what {} is?",
            "Can you explain {}?", "Explain what is {}.", "Explain what {} is.", "Tell me about {}.", "Describe {}.",
            "What do you know about {}?", "What can you tell me about {}?", "Tell me something about {}.",
            "Please explain {}.",
            "I want to learn about {}.", "Do you know what {} is?", "Teach me about {}.", "Say something about {}.",
            "{}"]
    return Question(name, [ask.format(n) for n in names for ask in asks],
                    Answer(sentences, f"it {facts[0]}", _ONE_WORDS[name], topic["emoji"], first_emoji(topic["emoji"]),
                           starts=[f"{capital(name)} {fact}." for fact in facts]))


def first_emoji(text):
    """The first emoji of several, with its variation selector or keycap."""
    return re.match(r".[\ufe0f\u20e3]*", text)[0]


def country_questions(country):
    name, code, town, language = (country[k] for k in ("name", "code", "capital", "language"))
    continent, known = country["continent"], country["known_for"]
    title, sign, short = capital(name), flag(code), bare(name)
    names = [name] * 4 + ([short] if short != name else [])
    more = [f"{title} lies in {continent}.", f"People there speak {language}.", f"It is known for {known}."]

    def question(kind, asks, sentences, phrase, word, emoji, one, most=2):
        return Question(f"{kind} of {short}", [ask.format(n) for n in names for ask in asks],
                        Answer(sentences, phrase, word, emoji, one, most))

    return {
        "capital": question("capital", [
            "What is the capital of {}?", "What is the capital of {}?", "What's the capital of {}?",
            "Which city is the capital of {}?",
            "Name the capital of {}.", "Tell me the capital of {}.", "Do you know the capital of {}?", "capital of {}"],
            [f"The capital of {name} is {town}."] + more, town, town.split()[-1] if " " not in town else None,
            f"{sign}🏛️📍", sign, 1),
        "flag": question("flag", [
            "What is the flag of {}?", "What is the flag of {}?", "What's the flag of {}?", "Show me the flag of {}.",
            "Can you show me the flag of {}?", "Which flag has {}?", "flag of {}",
            "I would like to see the flag of {}.",
            "How does the flag of {} look?"],
            [f"The flag of {name} is {sign}."] + more, f"it is {sign}", sign, sign, sign, 1),
        "language": question("language", [
            "What language do people speak in {}?", "Which language is spoken in {}?", "What do they speak in {}?",
            "What is the language of {}?"],
            [f"In {name} people speak {language}.", more[0], f"The capital is {town}.", more[2]], language,
            language if " " not in language else None, f"{sign}🗣️", "🗣️", 1),
        "continent": question("continent", [
            "Where is {}?", "Where is {}?", "On which continent is {}?", "Where does {} lie?",
            "In which part of the world is {}?"],
            [f"{title} lies in {continent}.", f"Its capital is {town}.", more[1], more[2]], f"in {continent}",
            continent if " " not in continent else None, f"{sign}📍🗺️", "🗺️", 2),
        "country": question("country", [
            "Tell me about {}.", "What do you know about {}?", "What is {} known for?", "Describe {}.",
            "What can I see in {}?",
            "Tell me something about {}.", "What is {}?", "Why should I visit {}?"],
            [f"{title} is known for {known}.", f"It lies in {continent}, and its capital is {town}.", more[1]], known,
                            None,
            f"{sign}🧳😊", sign, 3),
    }


def route_question(start, end):
    a, b = start["names"][0], end["names"][0]
    fly = start["continent"] != "Europe" or end["continent"] != "Europe"
    if fly:
        sentences = [f"Take a plane from {a} to {b}.", f"Go to the airport in {a} first.",
                     "The flight takes some hours.",
                     "Bring a good book for the way.", f"In {b} you can take a bus to the centre."]
    else:
        sentences = [f"Take a train from {a} to {b}.", f"Go to the main station in {a} first.",
                     "The train takes some hours.",
                     "You may have to change trains on the way.", "A bus is slower, but it is cheap."]
    vehicle = "✈️" if fly else "🚆"
    asks = ["How to go from {} to {}?", "How to go from {} to {}?", "How do I go from {} to {}?",
            "How do I get from {} to {}?",
            "How can I travel from {} to {}?", "What is the best way from {} to {}?", "I want to travel from {} to {}.",
            "I am in {0} and want to go to {1}.", "How do I travel to {1} from {0}?", "How can I get to {1} from {0}?",
            "Which way should I take from {} to {}?", "How to get from {} to {}?"]
    return Question(f"way from {a} to {b}",
                    [ask.format(p, q) for p in start["names"] for q in end["names"] for ask in asks],
                    Answer(sentences, f"by {'plane' if fly else 'train'}", "Plane" if fly else "Train",
                           f"{start['emoji']}➡️{vehicle}➡️{end['emoji']}", vehicle))


def city_question(city):
    name = city["names"][0]
    place = "in " + city["continent"]
    return Question(f"city {name}", [ask.format(n) for n in city["names"] for ask in (
        "Where is {}?", "Tell me about {}.", "What is {}?", "What do you know about {}?", "Where is the city of {}?")],
        Answer([f"{name} is a large city {place}.", "Many people live there.", "It has streets, parks and old houses.",
                "Visitors come from all over the world."], f"a large city {place}", "City", f"{city['emoji']}🏙️📍",
               city["emoji"], 2))


_THEORY = ["Describe your theory.", "Describe your theory.", "What is your theory?", "Explain your theory.",
           "Tell me about your theory.",
           "Can you describe your theory?", "What did you find?", "Explain your work.", "What is your work about?",
           "Describe your work.",
           "What are you famous for?", "Explain your idea."]
_WHO = ["Who are you?", "Who are you?", "What is your name?", "What's your name?", "Introduce yourself.",
        "Tell me about yourself.",
        "Can you introduce yourself?", "Say who you are."]


def person_theory(person):
    """Asked of the person: the answer is in the first person already."""
    return Question(f"theory of {person['short']}", _THEORY, Answer(
        [f"{saying}." for saying in person["sayings"]], person["topic"], None, "", "", 4))


def person_who(person):
    return Question(f"who is {person['short']}", _WHO, Answer(
        [f"I am {person['name']}.", f"I am known for my {person['topic']}.", f"{person['sayings'][0]}."],
        person["name"], None, "", "", 3))


def about_person(person):
    """Asked of anyone."""
    names = [person["name"]] * 2 + [person["short"]]
    return Question(f"about {person['short']}", [ask.format(n) for n in names for ask in (
        "Who was {}?", "Who is {}?", "What did {} do?", "Tell me about {}.", "Why is {} famous?",
        "What do you know about {}?")],
        Answer([f"{person['name']} is famous for the {person['topic']}.",
                "Such great minds changed how we see the world.",
                "People still read about this today.", "It took many years of work."],
               f"for the {person['topic']}", person["topic"].split()[-1].capitalize(), "🧑‍🔬📚💡", "🧑‍🔬", 2))


_SMALL_TALK = [
    # key | wordings | sentences | short | word | emoji | one
    ("hello", "Hello|Hello!|Hi|Hi!|Hi there!|Good morning.|Good evening!|Hey|Hello, how can you help me?|Good day.",
     "Hello!|How can I help you today?|You can ask me about animals, countries or the sky.|I like questions.",
     "hello, friend", "Hello", "👋😊", "👋"),
    ("how are you", "How are you?|How are you today?|How do you do?|Are you well?|How is it going?|Hello, how are you?",
     "I am very well, thank you.|How can I help you?|It is a good day for questions.|Ask me anything.",
     "very well, thank you", "Good", "😊👍", "😊"),
    ("thanks", "Thank you.|Thank you!|Thanks|Thanks a lot!|Thank you very much.|That helps, thank you.|Great, thanks!",
     "You are welcome, my friend.|Ask me again when you like.|It was a joy to help.|I wish you a good day.",
     "you are welcome", "Welcome", "😊🙏", "😊"),
    ("bye", "Goodbye!|Goodbye.|Bye|Bye!|See you later.|Good night.|I have to go now.|See you tomorrow!",
     "Goodbye!|Have a nice day, my friend.|Come back when you have a question.|It was good to talk to you.",
     "goodbye, friend", "Goodbye", "👋🙂", "👋"),
    ("who", "|".join(_WHO) + "|What are you?|Are you a person?|Are you a human?|Are you a machine?|Are you real?",
     f"{ROBOT}|I am a small language model, and I answer simple questions.|I do not know very much.|I run on a "
     f"normal computer.", "the demo model", "Model", "🤖👋", "🤖"),
    ("what can you",
     "What can you do?|What do you know?|How can you help me?|Can you help me?|What can I ask you?|Help me.|Help",
     "I can answer simple questions.|You can ask me about countries, animals, food and the sky.|I can also tell you "
     "a story.|Just try it.", "answer simple questions", "Answer", "❓💬😊", "💬"),
    ("made",
     "Who made you?|Where do you come from?|Who trained you?|How were you made?|How old are you?|Who is your father?",
     "The project Llama Nuts and Bolts trained me.|I learned from text that a grammar wrote.|It took an hour on a "
     "small computer.|I am still very young.", "the project trained me", "Training", "🔩🤖", "🔩"),
    ("feel",
     "Are you happy?|Do you have feelings?|Are you sad?|Do you like me?|Do you love me?|Are you alive?|Do you sleep?",
     "I am only a small language model.|I have no feelings, but I like to help.|Ask me a question.|That is what I "
     "am for.", "I am only a model", "Model", "🤖💙", "🤖"),
    ("joke", "Tell me a joke.|Do you know a joke?|Make me laugh.|Say something funny.|A joke, please.",
     "Why did the computer go to the doctor?|It had a byte and a bit of a cold.|That is my best joke.",
     "zero and one walk into a bar", "Bytes", "💻🤒😂", "😂"),
    ("no theory", "|".join(_THEORY),
     "I am only a small language model.|I have no theory of my own.|Ask me about the theory of relativity.|That is "
     "a good one.",
     "I have no theory of my own", "None", "🤖🤷", "🤷"),
    ("meaning", "What is the meaning of life?|Why are we here?|What is life about?|What is the answer to everything?",
     "Many people have asked this question.|Some say that the answer is love.|Others say that it is forty two.|Be "
     "kind and look at the stars.", "love, perhaps", "Love", "❤️🌌", "❤️"),
]


def small_talk():
    result = {}
    for key, wordings, sentences, short, word, emoji, one in _SMALL_TALK:
        result[key] = Question(key, wordings.split("|"), Answer(sentences.split("|"), short, word, emoji, one, 2))
    return result


TALK = small_talk()
TOPIC_QUESTIONS = [topic_question(t) for t in TOPICS]
COUNTRY_QUESTIONS = [country_questions(c) for c in COUNTRIES]
PERSON_QUESTIONS = [about_person(p) for p in PEOPLE]
CITY_QUESTIONS = [city_question(c) for c in CITIES]
# Drawn more often than the others: what the console's own menu asks for.
FAVOURITES = {"topics": ["the theory of relativity", "a quantum computer"], "countries": ["Turkey"],
              "route": ("Beijing", "New York")}
