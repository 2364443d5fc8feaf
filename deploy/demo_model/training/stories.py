"""Short stories and self-introductions: a grammar with a state, so that names, animals and things stay the same."""
from knowledge import CITIES, COUNTRIES

_GIRLS = "Lily Anna Mia Emma Zoe Nora Lucy Ada Ella Rosa Maya Sara Ida Leyla Yuki Amina Clara Alice Ruby Hana".split()
_BOYS = "Tom Ben Max Leo Sam Noah Jack Finn Emil Omar Ali Kenji Paul Hugo Oscar Theo Adam Luis Ravi Peter".split()
_ANIMALS = """fox 🦊, rabbit 🐰, bear 🐻, mouse 🐭, frog 🐸, owl 🦉, cat 🐱, dog 🐶, duck 🦆, lion 🦁, elephant 🐘, penguin 🐧,
turtle 🐢, squirrel 🐿️, hedgehog 🦔, pony 🐴, sheep 🐑, wolf 🐺, monkey 🐵, dragon 🐉, bee 🐝, bird 🐦, fish 🐟, whale 🐋"""
ANIMALS = [entry.split() for entry in _ANIMALS.replace("\n", " ").split(", ")]
_ADJECTIVES = """little small brave kind curious shy clever lazy happy hungry funny gentle quiet young friendly tiny""".split()
_PLACES = """in a green forest 🌲, near a blue lake 🏞️, in a small village 🏘️, on a high mountain ⛰️, by the sea 🌊, in
an old castle 🏰, on a quiet farm 🚜, in a big city 🏙️, on a small island 🏝️, in a dark cave 🕳️, in a snowy land ❄️, in
a garden full of flowers 🌻"""
PLACES = [entry.rsplit(" ", 1) for entry in _PLACES.replace("\n", " ").split(", ")]
_THINGS = """red ball 🔴, golden key 🔑, shiny stone 💎, old book 📖, blue kite 🪁, warm hat 🎩, silver bell 🔔, wooden boat
⛵, magic lamp 🪔, paper star ⭐, small drum 🥁, yellow umbrella ☂️, sweet cake 🍰, green bottle 🍾, tiny clock ⏰, treasure
map 🗺️"""
THINGS = [entry.rsplit(" ", 1) for entry in _THINGS.replace("\n", " ").split(", ")]
_MORALS = ["a friend in need is a friend indeed", "it is good to share", "small friends can be great friends",
           "it is brave to ask for help",
           "kind words open every door", "you must never give up", "it is better to be honest",
           "the best things are found together"]
_SKIES = ["One sunny morning", "One day", "One rainy afternoon", "One cold evening", "One fine day",
          "Early one morning"]


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


class Hero:
    def __init__(self, rng, animal=None):
        girl = rng.random() < 0.5
        self.name = rng.choice(_GIRLS if girl else _BOYS)
        self.they, self.them, self.their = ("she", "her", "her") if girl else ("he", "him", "his")
        self.child = "girl" if girl else "boy"
        self.animal, self.emoji = (None, "👧" if girl else "👦") if animal is None else animal
        self.adjective = rng.choice(_ADJECTIVES)

    def described(self):
        return article(f"{self.adjective} {self.animal or self.child}")


def story(rng, about=None):
    """(text, emoji). `about`: an animal that the story must be about."""
    hero = Hero(rng, about or (rng.choice(ANIMALS) if rng.random() < 0.6 else None))
    friend = Hero(rng, rng.choice([a for a in ANIMALS if a[0] != hero.animal]))
    while friend.name == hero.name:
        friend = Hero(rng, rng.choice([a for a in ANIMALS if a[0] != hero.animal]))
    place, place_emoji = rng.choice(PLACES)
    thing, thing_emoji = rng.choice(THINGS)
    n, they, them, their = hero.name, hero.they, hero.them, hero.their
    They = they.capitalize()
    f = f"the {friend.animal}"
    sky = rng.choice(_SKIES)
    opening = rng.choice([
        f"Once upon a time, there was {hero.described()} named {n}. {n} lived {place}.",
        f"Once upon a time, there was {hero.described()} named {n}. {They} lived {place}.",
        f"Once upon a time, {hero.described()} named {n} lived {place}.",
        f"Once upon a time, {place}, there lived {hero.described()}. {They} was called {n}."])
    love = rng.choice([f"{They} loved to play with {their} {thing}.",
                       f"{n} had {article(thing)} and loved it very much.",
                       f"Every day {they} played with {their} {thing}."])
    meets = rng.choice([f"Then {friend.described()} came along.", f"Just then {they} met {friend.described()}.",
                        f"After a while {friend.described()} came by."])
    plot = rng.randrange(6)
    if plot == 0:  # Lost and found.
        middle = (f"{love} {sky}, the {thing} was gone. {n} looked everywhere, but {they} could not find it. {They} "
                  f"sat down and cried. {meets} \"Why are you crying?\" asked {f}. \"I have lost my {thing},\" said "
                  f"{n}. \"Do not cry, I will help you,\" said {f}. They looked together, and soon they found the "
                  f"{thing} {rng.choice(['under a tree', 'behind a stone', 'in the tall grass', 'near the river'])}.")
        end = f"{n} was so happy that {they} danced. From that day on, {n} and {f} were the best of friends."
    elif plot == 1:  # A wish to do what is hard.
        wish = rng.choice(["fly", "swim", "sing", "climb the tallest tree", "read", "dance", "touch the moon"])
        middle = (f"{n} had one big wish: {they} wanted to {wish}. {sky}, {they} tried it, but it did not work. \"I "
                  f"will never learn it,\" said {n}. {meets} \"You must try again and again,\" said {f}. So {n} "
                  f"tried again the next day, and the day after that. ")
        middle += (f"At last {n} climbed a hill and felt very close to the moon." if wish == "touch the moon"
                   else f"At last {n} could {wish}!")
        lesson = rng.choice(["you must never give up", "it takes time to learn"])
        end = f"\"Thank you for your help,\" said {n} to {f}. Now {n} knew that {lesson}."
    elif plot == 2:  # Help for another.
        middle = (f"{sky}, {they} went for a walk and heard a small voice. \"Help me!\" it cried. It was "
                  f"{friend.described()}, who was stuck "
                  f"{rng.choice(['in the mud', 'in a hole', 'between two stones', 'in a net'])}. {n} was afraid, but "
                  f"{they} pulled and pulled until {f} was free. \"Thank you, {n},\" said {f}. \"You are very "
                  f"brave.\" Then {f} gave {them} {article(thing)}.")
        end = f"{n} went home with a warm heart. {They} had learned that {rng.choice(_MORALS)}."
    elif plot == 3:  # Sharing.
        middle = (f"{sky}, {n} found {article(thing)}. \"This is mine alone,\" {they} said and hid it. {meets} \"May "
                  f"I see it?\" asked {f}. \"No,\" said {n}, and {f} went away sadly. But it was no fun to play "
                  f"alone. So {n} ran after {f} and said, \"I am sorry. Let us share it.\" They played with the "
                  f"{thing} until the sun went down.")
        lesson = rng.choice(["it is good to share", "the best things are found together"])
        end = f"That night {n} slept well, for {they} knew that {lesson}."
    elif plot == 4:  # A journey.
        far = rng.choice([p for p, _ in PLACES if p != place])
        middle = (f"{sky}, {n} found {article(thing)} with a letter. The letter said, \"Bring me back to the old "
                  f"{friend.animal} {far}.\" So {n} packed some bread and walked for three days. On the way it "
                  f"rained and the wind was cold, but {they} did not turn back. At last {they} met the old "
                  f"{friend.animal}. \"You have brought my {thing}!\" said {f}. \"How can I thank you?\" \"Tell me a "
                  f"story,\" said {n}.")
        end = f"And {f} told {them} stories all night long. Then {n} went home and was happy."
    else:  # A party.
        middle = (f"{sky}, it was {n}'s birthday, but nobody came. {n} sat alone and felt sad. {meets} \"Where is "
                  f"everybody?\" asked {n}. \"Come with me,\" said {f}. They walked to the old bridge, and there "
                  f"were all {their} friends! They sang a song and gave {n} {article(thing)}.")
        end = f"It was the best day of {their} life. {n} laughed and thanked them all."
    if rng.random() < 0.25:
        end += " The end."
    return f"{opening} {middle} {end}", f"{hero.emoji}{place_emoji}{thing_emoji}{friend.emoji}😊"


_JOBS = """teacher children 👩‍🏫, baker bread 🍞, farmer fields 🚜, doctor people 🩺, painter pictures 🎨, sailor ships ⛵,
gardener roses 🌹, musician songs 🎵, cook soup 🍲, nurse patients 💉, writer books 📚, pilot airplanes ✈️, fisherman fish
🐟, carpenter tables 🪚, student exams 🎒, engineer bridges 🌉, tailor coats 🧵, librarian books 📖, driver buses 🚌,
scientist stars 🔭"""
_HOBBIES = ["read books", "swim in the sea", "play chess", "cook for my friends", "ride my bicycle",
            "walk in the mountains", "sing old songs",
            "take photographs", "play football", "look at the stars", "learn languages", "dance", "work in my garden",
            "drink tea with my neighbours"]
_DREAMS = ["travel around the world", "write a book", "see the sea", "build a house of wood",
           "learn to play the violin", "visit Japan",
           "open a small shop", "sail a boat", "learn how computers think", "climb a high mountain"]
_PETS = "cat", "dog", "rabbit", "mouse", "turtle", "pony", "bird", "fish"
JOBS = [entry.split() for entry in _JOBS.replace("\n", " ").split(", ")]
_WORK = {"children": "teach children", "bread": "bake bread", "fields": "work in the fields",
         "people": "help people who are ill",
         "pictures": "paint pictures", "ships": "work on a ship", "roses": "grow roses", "songs": "play songs",
         "soup": "make very good soup",
         "patients": "look after patients", "books": "live among books", "airplanes": "fly airplanes",
         "fish": "catch fish",
         "tables": "build tables and chairs", "exams": "learn for my exams", "bridges": "build bridges",
         "coats": "sew coats",
         "buses": "drive a bus", "stars": "watch the stars"}


def introduction(rng):
    """Somebody introduces themself, beginning with "Hello, my name is"."""
    name = rng.choice(_GIRLS + _BOYS)
    job, thing, _ = rng.choice(JOBS)
    age = rng.randint(9, 19) if job == "student" else rng.randint(22, 67)
    country = rng.choice(COUNTRIES)
    home = rng.choice([country["capital"] + ", the capital of " + country["name"], rng.choice(CITIES)["names"][0],
                       "a small town in " + country["name"]])
    hobby, dream = rng.sample(_HOBBIES, 2)[0], rng.choice(_DREAMS)
    pet = rng.choice([a for a, _ in ANIMALS if a in _PETS])
    pet_name = rng.choice([n for n in _GIRLS + _BOYS if n != name])
    after = "After school" if job == "student" else "When I am not at work,"
    sentences = [f"Hello, my name is {name}.",
                 f"I am {age} years old and I live in {home}.",
                 f"I am {article(job)}, and every day I {_WORK[thing]}.",
                 rng.choice([f"In my free time I like to {hobby}.", f"{after} I like to {hobby}."])]
    if rng.random() < 0.5:
        sentences.append(f"I have {article(pet)} called {pet_name}.")
    if rng.random() < 0.5:
        sentences.append(f"One day I want to {dream}.")
    if rng.random() < 0.4:
        sentences.append(rng.choice(["I am happy to meet you.", "It is nice to meet you.", "What is your name?"]))
    return " ".join(sentences)
