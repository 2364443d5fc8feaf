"""Questions that the model is not taught to answer, so that it says so."""
from knowledge import CITIES, COUNTRIES, TOPICS
from questions import Question
from styles import Answer

_UNKNOWN_NOUNS = """a guitar, a window, a chair, a table, a lamp, a spoon, a fork, a shoe, a hat, a coat, a wall, a
street, a candle, a mirror, a pencil, a hammer, a nail, a saw, a ladder, a rope, a bucket, a basket, a bottle, a
glass, a cup, a plate, a pan, an oven, a fridge, a carpet, a curtain, a pillow, a blanket, a towel, soap, a brush, a
comb, a needle, thread, cotton, silk, wool, leather, a button, a zip, a pocket, a bag, a box, a barrel, a wheel, an
engine, a pump, a pipe, a tap, a sink, a bath, a shower, a toilet, a roof, a floor, a door, a key, a lock, a bell, a
drum, a flute, a trumpet, a piano, a violin, a harp, a song, a dance, a play, a film, a camera, a photograph, a
painting, a statue, a museum, a church, a castle, a tower, a prison, a school, a university, a library, a hospital, a
shop, a market, a bank, a hotel, a restaurant, a pub, a zoo, a circus, a farm, a garden, a field, a fence, a hedge, a
lawn, a swamp, a pond, a beach, a cliff, a cave, a canyon, an island, a glacier, thunder, lightning, fog, a tornado, a
hurricane, a flood, a drought, oxygen, iron, copper, silver, lead, uranium, carbon, a diamond, a ruby, a crystal, an
atom, a molecule, a cell, a gene, a virus, a bacterium, a vaccine, cancer, a cold, a fever, a headache, philosophy,
religion, history, geography, chemistry, biology, economics, politics, democracy, a king, a president, a parliament, a
law, a court, a crime, justice, freedom, peace, war, love, hate, fear, joy, anger, hope, luck, truth, beauty, wisdom,
a shark, an octopus, a crab, a lobster, a jellyfish, a snail, a worm, a beetle, a mosquito, a wasp, a moth, a bat, a
rat, a hamster, a rabbit, a squirrel, a hedgehog, a badger, a fox, a wolf, a deer, a moose, a camel, a giraffe, a
zebra, a hippo, a rhino, a monkey, a gorilla, a panda, a koala, a kangaroo, a crocodile, a lizard, a snake, an eagle,
a hawk, a crow, a pigeon, a swan, a goose, a duck, a chicken, a peacock, a parrot, an apple, a pear, a banana, a
grape, a lemon, a melon, a potato, a carrot, an onion, garlic, pepper, sugar, butter, cream, wine, beer, whisky,
tobacco, medicine"""\
    .replace("\n", " ").split(", ")


def pseudo_word(rng):
    heads = "b c d f g h j k l m n p r s t v w z bl br cl cr dr fl gr pl st tr".split()
    hearts = "a e i o u oo ee ai".split()
    tails = "n r l t m ck st ng ble ter lin rom x by do sh".split(" ")
    return "".join(rng.choice(heads) + rng.choice(hearts) for _ in range(rng.randint(1, 2))) + rng.choice(tails)


_UNKNOWN = ["Who won the game with {} last year?", "What is the phone number of {}?", "How much does {} cost?",
            "Where can I buy {}?",
            "Who invented {}?", "What is the price of {}?", "When was {} made?", "Who wrote the book about {}?",
            "What will happen to {} tomorrow?",
            "How many people like {}?", "What is {}?", "What is {}?", "What is {}?", "Explain {}.", "Tell me about {}.",
            "Why do people want {}?",
            "What does {} mean?", "Can you explain what {} is?", "Describe {}.", "How does {} work?",
            "Is {} better than {}?", "Which is bigger, {} or {}?"]
_UNKNOWN_WHOLE = ["What is the weather today?", "What day is it?", "What time is it?", "What did I eat yesterday?",
                  "Who will win the game tomorrow?",
                  "What is my dog called?", "Where did I put my keys?", "What is in my pocket?",
                  "Which numbers will win the lottery?",
                  "What happened yesterday?", "Who is the president now?", "Write a program for me.",
                  "What is 1234 times 5678?",
                  "What is the square root of 17?", "Translate this into Latin.", "Who won the last world cup?",
                  "What is in the news?"]


# What is not taught about things that are.
_UNKNOWN_OF = {
    "country": ["How many people live in {}?", "Who is the president of {}?", "How large is {}?", "How old is {}?",
                "Who rules {}?",
                "How much does a house cost in {}?", "What is the weather in {}?", "When was {} founded?"],
    "topic": ["Who invented {}?", "How much does {} cost?", "How old is {}?", "How many words are there for {}?",
              "How heavy is {}?",
              "When was {} found?", "Where can I see {}?"],
    "city": ["How many people live in {}?", "What is the weather in {}?", "Who is the mayor of {}?",
             "How many houses are there in {}?",
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
        ["I am sorry, I do not know that.", "I am only a small model, and I have not learned it.",
         "Please ask me about something else.",
         "A good book may tell you."], "I do not know that", "Unknown", "🤷❓", "🤷", 2))
