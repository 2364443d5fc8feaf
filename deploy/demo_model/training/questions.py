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


# The first follow-up questions and "what about" need the subject of the question before.
_ONE_WORDS = dict(zip([t["name"] for t in TOPICS], """Spacetime Qubits Attraction Sunlight Colours Lava Shaking Tides Light Home Dust
Gas Darkness Shining Ice Current Iron Program Network Machine Voice Wheels Rails Wings Harbour Space River Flour Milk Cocoa Bees Leaves
Beans Grain Sea Life Frozen Crystals Clouds Air Heat Leaves Scent Trees Dry Salt Flow Height Whiskers Loyal Hooves Milk Trunk Roar Song
Clever Swimmer Night Honey Strong Wings Web Pond Gills Shell Bones Blood Thoughts Dreams Sound Pages Rhyme King Goal Numbers Corners
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
            "What do you know about {}?", "What can you tell me about {}?", "Tell me something about {}.", "Please explain {}.",
            "I want to learn about {}.", "Do you know what {} is?", "Teach me about {}.", "Say something about {}.", "{}"]
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
            "What is the capital of {}?", "What is the capital of {}?", "What's the capital of {}?", "Which city is the capital of {}?",
            "Name the capital of {}.", "Tell me the capital of {}.", "Do you know the capital of {}?", "capital of {}"],
            [f"The capital of {name} is {town}."] + more, town, town.split()[-1] if " " not in town else None,
            f"{sign}🏛️📍", sign, 1),
        "flag": question("flag", [
            "What is the flag of {}?", "What is the flag of {}?", "What's the flag of {}?", "Show me the flag of {}.",
            "Can you show me the flag of {}?", "Which flag has {}?", "flag of {}", "I would like to see the flag of {}.",
            "How does the flag of {} look?"],
            [f"The flag of {name} is {sign}."] + more, f"it is {sign}", sign, sign, sign, 1),
        "language": question("language", [
            "What language do people speak in {}?", "Which language is spoken in {}?", "What do they speak in {}?",
            "What is the language of {}?"],
            [f"In {name} people speak {language}.", more[0], f"The capital is {town}.", more[2]], language,
            language if " " not in language else None, f"{sign}🗣️", "🗣️", 1),
        "continent": question("continent", [
            "Where is {}?", "Where is {}?", "On which continent is {}?", "Where does {} lie?", "In which part of the world is {}?"],
            [f"{title} lies in {continent}.", f"Its capital is {town}.", more[1], more[2]], f"in {continent}",
            continent if " " not in continent else None, f"{sign}📍🗺️", "🗺️", 2),
        "country": question("country", [
            "Tell me about {}.", "What do you know about {}?", "What is {} known for?", "Describe {}.", "What can I see in {}?",
            "Tell me something about {}.", "What is {}?", "Why should I visit {}?"],
            [f"{title} is known for {known}.", f"It lies in {continent}, and its capital is {town}.", more[1]], known, None,
            f"{sign}🧳😊", sign, 3),
    }


def route_question(start, end):
    a, b = start["names"][0], end["names"][0]
    fly = start["continent"] != "Europe" or end["continent"] != "Europe"
    if fly:
        sentences = [f"Take a plane from {a} to {b}.", f"Go to the airport in {a} first.", "The flight takes some hours.",
                     "Bring a good book for the way.", f"In {b} you can take a bus to the centre."]
    else:
        sentences = [f"Take a train from {a} to {b}.", f"Go to the main station in {a} first.", "The train takes some hours.",
                     "You may have to change trains on the way.", "A bus is slower, but it is cheap."]
    vehicle = "✈️" if fly else "🚆"
    asks = ["How to go from {} to {}?", "How to go from {} to {}?", "How do I go from {} to {}?", "How do I get from {} to {}?",
            "How can I travel from {} to {}?", "What is the best way from {} to {}?", "I want to travel from {} to {}.",
            "I am in {0} and want to go to {1}.", "How do I travel to {1} from {0}?", "How can I get to {1} from {0}?",
            "Which way should I take from {} to {}?", "How to get from {} to {}?"]
    return Question(f"way from {a} to {b}", [ask.format(p, q) for p in start["names"] for q in end["names"] for ask in asks],
                    Answer(sentences, f"by {'plane' if fly else 'train'}", "Plane" if fly else "Train",
                           f"{start['emoji']}➡️{vehicle}➡️{end['emoji']}", vehicle))


def city_question(city):
    name = city["names"][0]
    place = "in " + city["continent"]
    return Question(f"city {name}", [ask.format(n) for n in city["names"] for ask in (
        "Where is {}?", "Tell me about {}.", "What is {}?", "What do you know about {}?", "Where is the city of {}?")],
        Answer([f"{name} is a large city {place}.", "Many people live there.", "It has streets, parks and old houses.",
                "Visitors come from all over the world."], f"a large city {place}", "City", f"{city['emoji']}🏙️📍", city["emoji"], 2))


_THEORY = ["Describe your theory.", "Describe your theory.", "What is your theory?", "Explain your theory.", "Tell me about your theory.",
           "Can you describe your theory?", "What did you find?", "Explain your work.", "What is your work about?", "Describe your work.",
           "What are you famous for?", "Explain your idea."]
_WHO = ["Who are you?", "Who are you?", "What is your name?", "What's your name?", "Introduce yourself.", "Tell me about yourself.",
        "Can you introduce yourself?", "Say who you are."]


def person_theory(person):
    """Asked of the person: the answer is in the first person already."""
    return Question(f"theory of {person['short']}", _THEORY, Answer(
        [f"{saying}." for saying in person["sayings"]], person["topic"], None, "", "", 4))


def person_who(person):
    return Question(f"who is {person['short']}", _WHO, Answer(
        [f"I am {person['name']}.", f"I am known for my {person['topic']}.", f"{person['sayings'][0]}."], person["name"], None, "", "", 3))


def about_person(person):
    """Asked of anyone."""
    names = [person["name"]] * 2 + [person["short"]]
    return Question(f"about {person['short']}", [ask.format(n) for n in names for ask in (
        "Who was {}?", "Who is {}?", "What did {} do?", "Tell me about {}.", "Why is {} famous?", "What do you know about {}?")],
        Answer([f"{person['name']} is famous for the {person['topic']}.", "Such great minds changed how we see the world.",
                "People still read about this today.", "It took many years of work."],
               f"for the {person['topic']}", person["topic"].split()[-1].capitalize(), "🧑‍🔬📚💡", "🧑‍🔬", 2))


_SMALL_TALK = [
    # key | wordings | sentences | short | word | emoji | one
    ("hello", "Hello|Hello!|Hi|Hi!|Hi there!|Good morning.|Good evening!|Hey|Hello, how can you help me?|Good day.",
     "Hello!|How can I help you today?|You can ask me about animals, countries or the sky.|I like questions.", "hello, friend", "Hello", "👋😊", "👋"),
    ("how are you", "How are you?|How are you today?|How do you do?|Are you well?|How is it going?|Hello, how are you?",
     "I am very well, thank you.|How can I help you?|It is a good day for questions.|Ask me anything.", "very well, thank you", "Good", "😊👍", "😊"),
    ("thanks", "Thank you.|Thank you!|Thanks|Thanks a lot!|Thank you very much.|That helps, thank you.|Great, thanks!",
     "You are welcome, my friend.|Ask me again when you like.|It was a joy to help.|I wish you a good day.", "you are welcome", "Welcome", "😊🙏", "😊"),
    ("bye", "Goodbye!|Goodbye.|Bye|Bye!|See you later.|Good night.|I have to go now.|See you tomorrow!",
     "Goodbye!|Have a nice day, my friend.|Come back when you have a question.|It was good to talk to you.", "goodbye, friend", "Goodbye", "👋🙂", "👋"),
    ("who", "|".join(_WHO) + "|What are you?|Are you a person?|Are you a human?|Are you a machine?|Are you real?",
     f"{ROBOT}|I am a small language model, and I answer simple questions.|I do not know very much.|I run on a normal computer.", "the demo model", "Model", "🤖👋", "🤖"),
    ("what can you", "What can you do?|What do you know?|How can you help me?|Can you help me?|What can I ask you?|Help me.|Help",
     "I can answer simple questions.|You can ask me about countries, animals, food and the sky.|I can also tell you a story.|Just try it.", "answer simple questions", "Answer", "❓💬😊", "💬"),
    ("made", "Who made you?|Where do you come from?|Who trained you?|How were you made?|How old are you?|Who is your father?",
     "The project Llama Nuts and Bolts trained me.|I learned from text that a grammar wrote.|It took an hour on a small computer.|I am still very young.", "the project trained me", "Training", "🔩🤖", "🔩"),
    ("feel", "Are you happy?|Do you have feelings?|Are you sad?|Do you like me?|Do you love me?|Are you alive?|Do you sleep?",
     "I am only a small language model.|I have no feelings, but I like to help.|Ask me a question.|That is what I am for.", "I am only a model", "Model", "🤖💙", "🤖"),
    ("joke", "Tell me a joke.|Do you know a joke?|Make me laugh.|Say something funny.|A joke, please.",
     "Why did the computer go to the doctor?|It had a byte and a bit of a cold.|That is my best joke.", "zero and one walk into a bar", "Bytes", "💻🤒😂", "😂"),
    ("no theory", "|".join(_THEORY), "I am only a small language model.|I have no theory of my own.|Ask me about the theory of relativity.|That is a good one.",
     "I have no theory of my own", "None", "🤖🤷", "🤷"),
    ("meaning", "What is the meaning of life?|Why are we here?|What is life about?|What is the answer to everything?",
     "Many people have asked this question.|Some say that the answer is love.|Others say that it is forty two.|Be kind and look at the stars.", "love, perhaps", "Love", "❤️🌌", "❤️"),
]


def small_talk():
    result = {}
    for key, wordings, sentences, short, word, emoji, one in _SMALL_TALK:
        result[key] = Question(key, wordings.split("|"), Answer(sentences.split("|"), short, word, emoji, one, 2))
    return result


_OPPOSITES = """hot cold, big small, day night, old young, fast slow, high low, good bad, happy sad, rich poor, light dark, wet dry, hard soft,
full empty, early late, long short, loud quiet, strong weak, open closed, near far, up down, left right, black white, first last,
clean dirty, sweet bitter, thick thin, deep shallow, war peace, love hate, winter summer, north south, east west, yes no, true false"""
_COLOURS = """grass green 🌿, blood red 🩸, snow white ❄️, coal black ⚫, the sky blue 🔵, a lemon yellow 🍋, a carrot orange 🥕, a frog green 🐸,
milk white 🥛, a tomato red 🍅, the sea blue 🌊, a banana yellow 🍌, an orange orange 🍊, a pig pink 🐷, a fox orange 🦊, chocolate brown 🍫,
gold yellow 🟡, a rose red 🌹, the night black 🌃, an elephant grey 🐘, a bear brown 🐻, a cherry red 🍒, a plum purple 🟣, sand yellow 🏖️"""
_SOUNDS = """cow moo 🐄, dog woof 🐶, cat meow 🐱, sheep baa 🐑, duck quack 🦆, pig oink 🐷, lion roar 🦁, bee buzz 🐝, snake hiss 🐍, frog ribbit 🐸,
owl hoot 🦉, horse neigh 🐴, mouse squeak 🐭, rooster cock-a-doodle-doo 🐓, wolf howl 🐺, crow caw 🐦‍⬛, goat maa 🐐, turkey gobble 🦃"""
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty""".split()


def keycaps(number):
    return "".join(digit + "\ufe0f\u20e3" for digit in str(number))


def small_facts():
    """Opposites, colours, sounds and sums."""
    result = []
    for pair in _OPPOSITES.replace("\n", " ").split(", "):
        for a, b in (pair.split(), pair.split()[::-1]):
            result.append(Question(f"opposite of {a}", [
                f"What is the opposite of {a}?", f"What's the opposite of {a}?", f"Name the opposite of {a}.", f"opposite of {a}"],
                Answer([f"The opposite of {a} is {b}.", "Every child learns this early.", "Some words come in pairs like this.",
                        "You can turn many words around."], b, b.capitalize(), "↔️", "↔️", 1)))
    for entry in _COLOURS.replace("\n", " ").split(", "):
        name, colour, emoji = entry.rsplit(" ", 2)
        result.append(Question(f"colour of {name}", [
            f"What colour is {name}?", f"What color is {name}?", f"Which colour has {name}?", f"What is the colour of {name}?"],
            Answer([f"{capital(name)} is {colour}.", "You can see it with your own eyes.", "Colours come from the light.",
                    "Not every day is so bright."], colour, colour.capitalize(), emoji, emoji, 1)))
    for entry in _SOUNDS.replace("\n", " ").split(", "):
        name, sound, emoji = entry.split(" ")
        result.append(Question(f"sound of {name}", [
            f"What does a {name} say?", f"What sound does a {name} make?", f"How does a {name} sound?", f"What does the {name} say?"],
            Answer([f"The {name} says {sound}.", "You can hear it on a farm or in the wild.", "Every animal has a voice of its own.",
                    "Listen well."], sound, sound.capitalize(), f"{emoji}🔊", emoji, 1)))
    for a in range(11):
        for b in range(11):
            total = NUMBERS[a + b]
            result.append(Question(f"sum of {a} and {b}", [
                f"What is {a} plus {b}?", f"What is {a} + {b}?", f"{a} + {b} = ?", f"How much is {a} and {b}?",
                f"What is {NUMBERS[a]} plus {NUMBERS[b]}?", f"Add {a} and {b}."],
                Answer([f"{capital(NUMBERS[a])} plus {NUMBERS[b]} is {total}.", "You can count it with your fingers.", "Sums are fun.",
                        "Numbers never lie."], total, total.capitalize(), keycaps(a + b), keycaps(a + b), 1)))
    return result


_UNKNOWN_NOUNS = """a guitar, a window, a chair, a table, a lamp, a spoon, a fork, a shoe, a hat, a coat, a wall, a street, a candle, a mirror,
a pencil, a hammer, a nail, a saw, a ladder, a rope, a bucket, a basket, a bottle, a glass, a cup, a plate, a pan, an oven, a fridge,
a carpet, a curtain, a pillow, a blanket, a towel, soap, a brush, a comb, a needle, thread, cotton, silk, wool, leather, a button, a zip,
a pocket, a bag, a box, a barrel, a wheel, an engine, a pump, a pipe, a tap, a sink, a bath, a shower, a toilet, a roof, a floor, a door, a key,
a lock, a bell, a drum, a flute, a trumpet, a piano, a violin, a harp, a song, a dance, a play, a film, a camera, a photograph, a painting,
a statue, a museum, a church, a castle, a tower, a prison, a school, a university, a library, a hospital, a shop, a market, a bank, a hotel,
a restaurant, a pub, a zoo, a circus, a farm, a garden, a field, a fence, a hedge, a lawn, a swamp, a pond, a beach, a cliff, a cave, a canyon,
an island, a glacier, thunder, lightning, fog, a tornado, a hurricane, a flood, a drought, oxygen, iron, copper, silver, lead, uranium, carbon,
a diamond, a ruby, a crystal, an atom, a molecule, a cell, a gene, a virus, a bacterium, a vaccine, cancer, a cold, a fever, a headache,
philosophy, religion, history, geography, chemistry, biology, economics, politics, democracy, a king, a president, a parliament, a law,
a court, a crime, justice, freedom, peace, war, love, hate, fear, joy, anger, hope, luck, truth, beauty, wisdom, a shark, an octopus, a crab,
a lobster, a jellyfish, a snail, a worm, a beetle, a mosquito, a wasp, a moth, a bat, a rat, a hamster, a rabbit, a squirrel, a hedgehog,
a badger, a fox, a wolf, a deer, a moose, a camel, a giraffe, a zebra, a hippo, a rhino, a monkey, a gorilla, a panda, a koala, a kangaroo,
a crocodile, a lizard, a snake, an eagle, a hawk, a crow, a pigeon, a swan, a goose, a duck, a chicken, a peacock, a parrot, an apple, a pear,
a banana, a grape, a lemon, a melon, a potato, a carrot, an onion, garlic, pepper, sugar, butter, cream, wine, beer, whisky, tobacco, medicine"""\
    .replace("\n", " ").split(", ")


def pseudo_word(rng):
    heads, hearts, tails = "b c d f g h j k l m n p r s t v w z bl br cl cr dr fl gr pl st tr".split(), "a e i o u oo ee ai".split(), \
        "n r l t m ck st ng ble ter lin rom x by do sh".split(" ")
    return "".join(rng.choice(heads) + rng.choice(hearts) for _ in range(rng.randint(1, 2))) + rng.choice(tails)


_UNKNOWN = ["Who won the game with {} last year?", "What is the phone number of {}?", "How much does {} cost?", "Where can I buy {}?",
            "Who invented {}?", "What is the price of {}?", "When was {} made?", "Who wrote the book about {}?", "What will happen to {} tomorrow?",
            "How many people like {}?", "What is {}?", "What is {}?", "What is {}?", "Explain {}.", "Tell me about {}.", "Why do people want {}?",
            "What does {} mean?", "Can you explain what {} is?", "Describe {}.", "How does {} work?", "Is {} better than {}?", "Which is bigger, {} or {}?"]
_UNKNOWN_WHOLE = ["What is the weather today?", "What day is it?", "What time is it?", "What did I eat yesterday?", "Who will win the game tomorrow?",
                  "What is my dog called?", "Where did I put my keys?", "What is in my pocket?", "Which numbers will win the lottery?",
                  "What happened yesterday?", "Who is the president now?", "Write a program for me.", "What is 1234 times 5678?",
                  "What is the square root of 17?", "Translate this into Latin.", "Who won the last world cup?", "What is in the news?"]


# What is not taught about things that are.
_UNKNOWN_OF = {
    "country": ["How many people live in {}?", "Who is the president of {}?", "How large is {}?", "How old is {}?", "Who rules {}?",
                "How much does a house cost in {}?", "What is the weather in {}?", "When was {} founded?"],
    "topic": ["Who invented {}?", "How much does {} cost?", "How old is {}?", "How many words are there for {}?", "How heavy is {}?",
              "When was {} found?", "Where can I see {}?"],
    "city": ["How many people live in {}?", "What is the weather in {}?", "Who is the mayor of {}?", "How many houses are there in {}?",
             "What is the best hotel in {}?"]}


def unknown_question(rng):
    kind = rng.choice(["", "", "", "", "country", "topic", "city"])
    if kind:
        name = rng.choice({"country": COUNTRIES, "topic": TOPICS, "city": CITIES}[kind])
        name = name["names"][0] if kind == "city" else name["name"]
        return _do_not_know(rng.choice(_UNKNOWN_OF[kind]).format(name), name)
    noun = rng.choice(_UNKNOWN_NOUNS) if rng.random() < 0.6 else rng.choice(["a ", "the ", ""]) + pseudo_word(rng)
    text = rng.choice(_UNKNOWN).replace("{}", noun, 1).replace("{}", rng.choice(_UNKNOWN_NOUNS))
    if rng.random() < 0.2:
        text, noun = rng.choice(_UNKNOWN_WHOLE), "now"
    return _do_not_know(text, noun)


def _do_not_know(text, noun):
    return Question("unknown " + noun, [text], Answer(
        ["I am sorry, I do not know that.", "I am only a small model, and I have not learned it.", "Please ask me about something else.",
         "A good book may tell you."], "I do not know that", "Unknown", "🤷❓", "🤷", 2))


TALK = small_talk()
TOPIC_QUESTIONS = [topic_question(t) for t in TOPICS]
COUNTRY_QUESTIONS = [country_questions(c) for c in COUNTRIES]
PERSON_QUESTIONS = [about_person(p) for p in PEOPLE]
CITY_QUESTIONS = [city_question(c) for c in CITIES]
SMALL_FACTS = small_facts()
# Drawn more often than the others: what the console's own menu asks for.
FAVOURITES = {"topics": ["the theory of relativity", "a quantum computer"], "countries": ["Turkey"],
              "route": ("Beijing", "New York")}
